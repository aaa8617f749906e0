/* Starting programs.  No shell is involved. */
#ifndef RSWAPCTL_CHILD_H
#define RSWAPCTL_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "error.h"

/* systemd's final kill at the machine's end spares a process of root whose
 * argv[0] begins so. */
#define CHILD_SURVIVES '@'

/* How a program is started. */
struct child_spec {
	/* argv[0], without CHILD_SURVIVES, is looked up in PATH. */
	const char *const *argv;
	/* Takes standard output and errors; -1: these are rswapctl's. */
	int output_fd;
	/* A file that standard errors are appended to; standard output is
	 * thrown away then.  NULL: none. */
	const char *log;
	/* A session of its own, in the root directory: out of reach of the
	 * terminal's Ctrl-C and hang-up. */
	bool daemon;
};

/* Starts a program with empty standard input, and with the default effect of
 * the signals that rswapctl catches.  The pid of a child, which the caller
 * reaps; or -1 with WHY, which names the program. */
pid_t child_start(const struct child_spec *spec, struct error *why);

#endif
