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
	char device[32]; /* "" as long as it isn't known: not connected yet */
	bool named;	 /* the kernel shows whose the connection is */
	uint64_t size_bytes;
	pid_t pid;	/* of nbdkit; 0 as long as it hasn't been started */
	uint64_t start; /* run_start_time of it */
	char servers[1024];
};

struct state_path {
	char text[STATE_PATH_MAX];
};

/* /run/rswap, or what RSWAP_RUN_DIR says. */
const char *statedir_root(void);

/* 1 to STATE_NAME_MAX of A-Z a-z 0-9 . _ - and no dot or dash in front. */
bool statedir_name_ok(const char *name);

/* FILE in the directory of NAME; "" gives the directory. */
struct state_path statedir_path(const char *name, const char *file);

/* Makes the directory, and removes what a dead nbdkit left in it; refuses one
 * that is in use. 0 or -1. */
int statedir_create(const char *name, struct error *why);

/* Whether NAME is attached, or what is left of it is: either end of its device
 * is there.  WHY tells which. */
bool statedir_in_use(const char *name, struct error *why);

/* Removes the directory and what is in it. */
void statedir_remove(const char *name);

/* 0 or -1.  A state need not have a device, nor a pid. */
int statedir_save(const struct state *state, struct error *why);
int statedir_load(const char *name, struct state *state, struct error *why);

/* What the connection of NAME's device is called in the kernel, so that it is
 * known for ours (nbddev_backend). */
struct state_path statedir_backend(const char *name);

/* Fills in what an attach that was killed could not save any more: the nbdkit
 * that was started, found by its socket, and the device that was connected,
 * found by its backend.  Also where there is no state file: STATE needs a name
 * only. */
void statedir_recall(struct state *state);

/* Whether the nbdkit that this state tells of is still running. */
bool statedir_running(const struct state *state);

/* The names of all directories, in order, at most MAX; how many. */
int statedir_list(char names[][STATE_NAME_MAX + 1], int max);

/* The lock of NAME, held by attach from its start to its end, and by detach:
 * who holds it may change what there is of NAME.  It ends with the process.  A
 * file descriptor to close when done, or -1: another rswapctl holds it (WHY
 * says which), and DEADLINE_NS has passed.  0 for DEADLINE_NS: does not wait.
 */
int statedir_lock(const char *name, uint64_t deadline_ns, struct error *why);

#endif
