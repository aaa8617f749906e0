/* One attached device as the kernel and the process table show it.  The plugin
 * cannot tell this: it may be gone, or the kernel may not reach it any more. */
#ifndef RSWAPCTL_DEVSTATE_H
#define RSWAPCTL_DEVSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "devprobe.h"
#include "finding.h"
#include "statedir.h"
#include "swapinfo.h"

struct json_object;

struct devstate {
	const struct state *state; /* the caller's */
	bool front_runs;
	bool connected;	      /* as sysfs has it: a pid, and a size */
	unsigned connections; /* that it should have; 0: unknown */
	uint64_t reads_in_flight, writes_in_flight;
	char holders[64]; /* what stands on it: "dm-0 dm-1" */
	/* The device that is swapped to: this one, or one that stands on it.
	 * Without swap: this one. */
	char swap_device[40];
	bool swap_known; /* /proc/swaps was read */
	struct swap_usage swap;
	bool shared_swap; /* other swap is in use as well */
};

enum devtrouble {
	DEVTROUBLE_NONE,
	DEVTROUBLE_SOME, /* swap does not depend on it */
	/* It isn't connected, and nothing swaps to it. */
	DEVTROUBLE_LOOSE,
	/* Swap is on, and the kernel's requests reach nobody: the front
	 * end is gone, or the device has no connection. */
	DEVTROUBLE_DEAD,
};

/* The part of the plugin's status that concerns the device. */
struct devanswer {
	bool answers;
	bool tells; /* the status has connections; an older plugin's has not */
	uint64_t connections;
	enum devprobe probe; /* UNKNOWN where nothing was read */
};

/* Reads the state of the device of STATE, which must outlive D. */
void devstate_read(const struct state *state, struct devstate *d);

/* ANSWER is the plugin's status, or NULL. If the status does not show whether
 * the kernel reaches the plugin, reads a page of the device.  ASK gets a new
 * status, or NULL. */
typedef struct json_object *devstate_asker(void *arg);
struct devanswer devstate_ask(const struct devstate *d,
			      struct json_object *answer, devstate_asker *ask,
			      void *arg);

/* Writes to WHAT which processes have pages in this swap.  False: no page is
 * there. */
bool devstate_users(const struct devstate *d, struct error *what);

/* TELL gets each finding, with an action that names the device. */
enum devtrouble devstate_judge(const struct devstate *d,
			       const struct devanswer *answer,
			       finding_tell *tell, void *arg);

#endif
