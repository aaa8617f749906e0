/* /run/rswap/NAME: what rswapctl knows of one attached swap device.
 *
 *   nbd.sock      between the kernel and the front end
 *   control.sock  the front end's control socket
 *   pid           written by the front end
 *   log           its standard error
 *   state         "key value" lines, written by attach
 *   queue         settings of the device before attach changed them
 * (settings.h)
 *
 * Beside it are .NAME.lock, and for all names .settings and its .settings-lock
 * (vmtune.h).
 */
#ifndef RSWAPCTL_STATEDIR_H
#define RSWAPCTL_STATEDIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "front.h"

#define STATE_NAME_MAX 32
#define STATE_PATH_MAX 100 /* a Unix socket's path has to fit 108 bytes */

struct state {
	char name[STATE_NAME_MAX + 1];
	char device[32]; /* "" before it is connected */
	/* Of the device (driver.h); "" where the kernel does not tell. */
	char identity[DRIVER_IDENTITY_MAX];
	uint64_t size_bytes;
	const struct front *front; /* never NULL */
	char choice[160];	   /* why this front end */
	bool attaching;		   /* attach has not done its last step */
	pid_t pid;	/* of the front end; 0 before it is started */
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

/* Makes the directory, without the files of a dead front end; refuses a
 * directory that is in use.  If swap of the dead front end is still on, its
 * directory is kept under another name, and a line tells that.  0 or -1. */
int statedir_create(const char *name, struct error *why);

/* Whether NAME is in use: its front end runs, or its device is connected.  WHY
 * tells which. */
bool statedir_in_use(const char *name, struct error *why);

/* Removes the directory and its files. */
void statedir_remove(const char *name);

/* 0 or -1.  A state need not have a device, nor a pid. */
int statedir_save(const struct state *state, struct error *why);
int statedir_load(const char *name, struct state *state, struct error *why);

/* Fills in facts that a killed attach could not save: finds its front end by
 * the socket, and its device by the driver.  Works without a state file: STATE
 * needs a name only. */
void statedir_recall(struct state *state);

/* The device, its number and identity: as the driver has them now. */
void statedir_set_device(struct state *state, int number);

/* The number of the device; -1 if there is none. */
int statedir_number(const struct state *state);

/* Whether a device with the same number is another one, or another program's.
 * Then ours is gone, and rswapctl leaves that device alone. */
bool statedir_is_foreign(const struct state *state);

/* Whether the device has a front end, and is the one of this state. */
bool statedir_is_connected(const struct state *state);

/* Whether the front end of this state still runs. */
bool statedir_running(const struct state *state);

/* The names of all directories, in order, at most MAX; how many. */
int statedir_list(char names[][STATE_NAME_MAX + 1], int max);

/* Takes the lock of NAME.  Attach and detach hold the lock from start to end,
 * and change the state directory and the device only under it.  The lock ends
 * with the process.  Returns a file descriptor that the caller closes; or -1 if
 * another rswapctl (WHY says which) holds the lock until DEADLINE_NS.  With 0
 * for DEADLINE_NS it does not wait. */
int statedir_lock(const char *name, uint64_t deadline_ns, struct error *why);

/* The same for the settings that all devices share (vmtune.h).  Every attach
 * needs this lock, so nobody holds it while it waits for anything. */
int statedir_lock_settings(uint64_t deadline_ns, struct error *why);

#endif
