/* The process of a front end: starting it, waiting for it, stopping it. */
#ifndef RSWAPCTL_DAEMON_H
#define RSWAPCTL_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "front.h"

/* Starts ARGV in a session of its own, with the limits and the environment that
 * swapping needs.  Standard error goes to the file LOG, or where rswapctl's
 * goes if LOG is NULL.  The pid, or -1. */
pid_t daemon_start(const char *const argv[], const char *log,
		   struct error *why);

/* Waits until FRONT serves: then the engine is ready too.  0; or -1 if it
 * ended, the deadline passed, or a signal came. */
int daemon_wait_ready(const struct front *front, pid_t pid,
		      const struct driver_link *link, uint64_t deadline_ns,
		      struct error *why);

/* Sends SIG, which asks for the end.  START is the run_start_time of the front
 * end: a process that has got its PID meanwhile gets no signal.  PID need not
 * be a child of this process.  False if it runs on at the deadline. */
bool daemon_stop(pid_t pid, uint64_t start, int sig, uint64_t deadline_ns);

/* Sends SIGKILL.  False if it runs on. */
bool daemon_kill(pid_t pid, uint64_t start);

/* Prints the last lines of LOG, each after INDENT. */
void daemon_show_log(const char *log, const char *indent);

#endif
