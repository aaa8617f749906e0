/* attach: what the command line asks for, and the steps that do it. */
#ifndef RSWAPCTL_ATTACH_H
#define RSWAPCTL_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "front.h"
#include "keys.h"
#include "statedir.h"

#define ATTACH_SERVERS_MAX 64

/* Above zram-generator's default, 100.  The kernel fills the swap of the
 * highest priority first, with the pages that have not been needed for longest.
 * Those belong on the far machine.  With zram in front, cold pages would fill
 * memory, and pages that are needed soon would travel. */
#define ATTACH_PRIORITY 110

struct attach {
	/* from the command line, unchanged by the steps */
	char **servers;
	int n_servers;
	uint64_t size_bytes;
	const char *device; /* NULL: a free one */
	const char *name;   /* NULL: the device's */
	const char *plugin;
	const struct front *front;
	struct error choice;	/* why this front end */
	const char *keys[KEYS]; /* the plugin's, as given, or NULL */
	unsigned connections;
	unsigned priority;
	bool foreground;
	bool tune; /* may change settings of the kernel */

	/* of keys, or the plugin's defaults */
	unsigned lanes; /* 0: auto */
	unsigned timeout_s;

	/* made by the steps */
	int lock_fd;	     /* statedir_lock of the name, until the end */
	int number;	     /* of the device; -1: the kernel chooses */
	int guess_from;	     /* the first number to guess */
	bool made_directory; /* this attach made it */
	bool no_front;	     /* the front end did not start */
	bool lost_race;	     /* another program took the device NUMBER first */
	struct state state;  /* as saved */
};

/* Does every step, and prints a line for each.  If a step fails, prints
 * why and undoes the steps from that one back.  0 or -1. */
int attach_run(struct attach *a);

#endif
