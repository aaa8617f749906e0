/* Starting nbdkit with the rswap plugin, waiting for it, stopping it. */
#ifndef RSWAPCTL_NBDKIT_H
#define RSWAPCTL_NBDKIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

/* The plugin that nbdkit loads, a name or a path: RSWAP_PLUGIN, or the one in
 * rswapctl's own prefix, or "rswap", which nbdkit looks for.  Static. */
const char *nbdkit_default_plugin(void);

/* Starts ARGV in a session of its own, with the limits and the environment that
 * swapping needs.  Standard error goes to the file LOG, or where rswapctl's
 * goes if LOG is NULL.  The pid, or -1. */
pid_t nbdkit_start(const char *const argv[], const char *log,
		   struct error *why);

/* Waits until nbdkit greets as an NBD server on its socket: then the plugin is
 * ready too.  0; or -1 if nbdkit ended, the deadline passed, or a signal came.
 */
int nbdkit_wait_ready(pid_t pid, const char *socket, uint64_t deadline_ns,
		      struct error *why);

/* Sends SIGTERM, and SIGKILL if nbdkit does not end by the deadline.  PID need
 * not be a child of this process.  False if nbdkit runs on after both. */
bool nbdkit_stop(pid_t pid, uint64_t deadline_ns);

/* Prints the last lines of LOG, each after INDENT. */
void nbdkit_show_log(const char *log, const char *indent);

#endif
