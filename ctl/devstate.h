/* One attached device as the kernel and the process table show it: what a
 * plugin can't tell, because it is gone, or because the kernel does not reach
 * it any more. */
#ifndef RSWAPCTL_DEVSTATE_H
#define RSWAPCTL_DEVSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "devprobe.h"
#include "health.h"
#include "nbddev.h"
#include "statedir.h"
#include "swapinfo.h"

struct devstate {
	const struct state *state; /* the caller's */
	bool nbdkit_runs;
	bool connected; /* as sysfs has it: a pid, and a size */
	/* Of the kernel, one a connection (or a processor, if these are fewer);
	 * 0: unknown. */
	unsigned queues;
	uint64_t reads_in_flight, writes_in_flight;
	char holders[64]; /* what stands on it: "dm-0 dm-1" */
	/* Where swap is: the device, or what stands on it.  Without swap: the
	 * device. */
	char swap_device[40];
	bool swap_known; /* /proc/swaps was read */
	struct swap_usage swap;
	bool shared_swap; /* other swap is in use as well */
};

enum devtrouble {
	DEVTROUBLE_NONE,
	DEVTROUBLE_SOME, /* that swap doesn't depend on */
	/* It isn't connected, and nothing swaps to it. */
	DEVTROUBLE_LOOSE,
	/* Swap is on, and the kernel's requests reach nobody: nbdkit is gone,
	 * or the device has no connection. */
	DEVTROUBLE_DEAD,
};

/* What the plugin told, as far as it concerns the device. */
struct devanswer {
	bool answers;
	bool tells; /* connections; an older plugin doesn't */
	uint64_t connections;
	enum devprobe probe; /* UNKNOWN where nothing was read */
};

/* Looks at the device of STATE, which has to stay. */
void devstate_read(const struct state *state, struct devstate *d);

/* ANSWER: the plugin's status, or NULL.  Reads a page of the device where the
 * answer alone doesn't tell whether the kernel reaches the plugin; ASK gives
 * another answer, or NULL. */
struct devanswer devstate_ask(const struct devstate *d, const char *answer,
			      const char *(*ask)(void *arg), void *arg);

/* Whose pages are in this swap, in WHAT; false: nobody's. */
bool devstate_users(const struct devstate *d, struct error *what);

/* TELL gets each thing that is wrong, and what to do (NULL: nothing).  What
 * only adds to the one before is HEALTH_GOOD. */
typedef void devstate_tell(void *arg, enum health health, const char *what,
			   const char *remedy);
enum devtrouble devstate_judge(const struct devstate *d,
			       const struct devanswer *answer,
			       devstate_tell *tell, void *arg);

#endif
