/* /run/rswap/NAME: what rswapctl knows of one attached swap device.
 *
 *   nbd.sock      between the kernel and nbdkit
 *   control.sock  the plugin's control socket
 *   nbdkit.pid    written by nbdkit
 *   log           nbdkit's standard error
 *   state         "key value" lines, written by attach
 *
 * Beside it is /run/rswap/.NAME.lock.
 */
#ifndef RSWAPCTL_STATEDIR_H
#define RSWAPCTL_STATEDIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"

#define STATE_NAME_MAX 32
#define STATE_PATH_MAX 100 /* a Unix socket's path has to fit 108 bytes */

struct state {
	char name[STATE_NAME_MAX + 1];
	char device[32]; /* "" before it is connected */
	bool named;	 /* the kernel shows the connection's name */
	uint64_t size_bytes;
	pid_t pid;	/* of nbdkit; 0 before it is started */
	uint64_t start; /* run_start_time of it */
	char servers[1024];
};

struct state_path {
	char text[STATE_PATH_MAX];
};

/* /run/rswap, or RSWAP_RUN_DIR of the environment. */
const char *statedir_root(void);

/* 1 to STATE_NAME_MAX of A-Z a-z 0-9 . _ - and no dot or dash in front. */
bool statedir_name_ok(const char *name);

/* FILE in the directory of NAME; "" gives the directory. */
struct state_path statedir_path(const char *name, const char *file);

/* Makes the directory, without the files of a dead nbdkit; refuses a directory
 * that is in use.  0 or -1. */
int statedir_create(const char *name, struct error *why);

/* Whether NAME is in use: its nbdkit runs, or its device is connected.  WHY
 * tells which. */
bool statedir_in_use(const char *name, struct error *why);

/* Removes the directory and its files. */
void statedir_remove(const char *name);

/* 0 or -1.  A state need not have a device, nor a pid. */
int statedir_save(const struct state *state, struct error *why);
int statedir_load(const char *name, struct state *state, struct error *why);

/* The name of the connection of NAME's device in the kernel, by which rswapctl
 * recognizes its own device (nbddev_backend). */
struct state_path statedir_backend(const char *name);

/* Fills in facts that a killed attach could not save: finds its nbdkit by the
 * socket, and its device by the connection's name.  Works without a state file:
 * STATE needs a name only. */
void statedir_recall(struct state *state);

/* Whether the nbdkit of this state still runs. */
bool statedir_running(const struct state *state);

/* The names of all directories, in order, at most MAX; how many. */
int statedir_list(char names[][STATE_NAME_MAX + 1], int max);

/* Takes the lock of NAME.  Attach and detach hold the lock from start to end,
 * and change the state directory and the device only under it.  The lock ends
 * with the process.  Returns a file descriptor that the caller closes; or -1 if
 * another rswapctl (WHY says which) holds the lock until DEADLINE_NS.  With 0
 * for DEADLINE_NS it does not wait. */
int statedir_lock(const char *name, uint64_t deadline_ns, struct error *why);

#endif
