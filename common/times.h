/* The waiting times that more than one of plugin, memory server and rswapctl
 * has to know.  They fit each other: without copies a request must not fail
 * while its page may still come back.  So a request outlasts the server's grace
 * time, and the kernel outlasts the request. docs/timeouts.md has a table of
 * these times; times_test holds the relations. */
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

/* The most time that a server has for the answer to one message or one
 * transfer; a third of the timeout if that is less.  So the plugin asks a
 * hanging server again over a new connection, long before a request gives up.
 */
#define TIMES_ANSWER_MAX_S 10

/* How long a token joins a lane.  TOKEN may come as late as any answer, and the
 * client then has as long for its JOIN. */
#define TIMES_TOKEN_S 20

/* The most time to reach all servers at start. */
#define TIMES_REACH_MAX_S 30

/* How much longer than the plugin the kernel's nbd device waits for a request.
 * The plugin answers each request within its own timeout, with EIO if need be.
 * So the kernel's time passes only if nbdkit itself is stuck.  A shorter time
 * would make the kernel drop a connection that is merely slow.  0 would make
 * the kernel wait for a stuck request, and log it, for ever. */
#define TIMES_KERNEL_EXTRA_S 15

/* After this time the kernel logs a task that waits (hung_task_timeout_secs),
 * and panics if it is configured to. */
#define TIMES_HUNG_TASK_S 120

/* The least timeout with which a request outlasts a server's grace time: the
 * time until the plugin takes the server for lost, and the time of the last
 * attempt to resume the session. */
static inline uint64_t times_least_timeout_s(uint64_t grace_s)
{
	return grace_s + TIMES_GRACE_EXTRA_S + TIMES_ANSWER_MAX_S;
}

/* The timeout of the nbd device. */
static inline uint64_t times_kernel_timeout_s(uint64_t timeout_s)
{
	return timeout_s + TIMES_KERNEL_EXTRA_S;
}

#endif
