/* The times that plugin, memory server and rswapctl wait, where more than one
 * of them has to know.  They fit each other: without copies a request must not
 * fail while its page may still come back, so a request outlasts the server's
 * grace time, and the kernel outlasts the request.  docs/reliability.md has the
 * table of what each of them ends; times_test holds the relations.
 */
#ifndef RSWAP_TIMES_H
#define RSWAP_TIMES_H

#include <stdbool.h>
#include <stdint.h>

/* Defaults. */
#define TIMES_TIMEOUT_S	     90 /* plugin, timeout=: a request's deadline */
#define TIMES_GRACE_S	     60 /* memory server, --grace */
#define TIMES_REPAIR_AFTER_S 10 /* plugin, repair-after= */

/* A server notices the end of a connection later than the plugin does, so the
 * plugin waits that much longer than the server's grace time. */
#define TIMES_GRACE_EXTRA_S 5

/* What a server is given at most to answer one message or one transfer, a third
 * of the timeout where that is less.  So one that hangs is asked again over a
 * new connection long before a request gives up. */
#define TIMES_ANSWER_MAX_S 10

/* What all servers are given at most to be reached at start. */
#define TIMES_REACH_MAX_S 30

/* How much longer than the plugin the kernel's nbd device waits for a request.
 * The plugin answers each within its own timeout, with EIO if need be, so this
 * one passes only when nbdkit itself is stuck.  It must be longer, or the
 * kernel would drop a connection that is merely slow; and it must not be 0,
 * because then a stuck request is waited for (and logged) for ever. */
#define TIMES_KERNEL_EXTRA_S 15

/* After so long the kernel logs a task that waits (hung_task_timeout_secs), and
 * panics where it was told to. */
#define TIMES_HUNG_TASK_S 120

/* The least timeout with which a request outlasts a server's grace time: until
 * the plugin takes the server for lost, and what the last attempt to take the
 * session up again is given. */
static inline uint64_t times_least_timeout_s(uint64_t grace_s)
{
	return grace_s + TIMES_GRACE_EXTRA_S + TIMES_ANSWER_MAX_S;
}

/* What the nbd device's timeout is to be. */
static inline uint64_t times_kernel_timeout_s(uint64_t timeout_s)
{
	return timeout_s + TIMES_KERNEL_EXTRA_S;
}

#endif
