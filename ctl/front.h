/* Front ends: the programs that serve a swap device from the page engine.  All
 * have the same keys, control socket, safety and life cycle.  One file a front
 * end, front_*.c, tells what is different. */
#ifndef RSWAPCTL_FRONT_H
#define RSWAPCTL_FRONT_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "argvec.h"
#include "driver.h"
#include "error.h"

/* What attach orders of a front end.  All paths are absolute. */
struct front_order {
	char **servers;
	int n_servers;
	const char *const *keys; /* KEYS of them (keys.h), as given, or NULL */
	const char *plugin;	 /* nbdkit's: a name or a path */
	unsigned lanes;		 /* 0: as the front end wants */
	const struct driver_link *link;
};

struct front {
	const char *name;    /* of --front */
	const char *program; /* as it is installed, and as ps shows it */
	const char *what;    /* for people: "nbdkit with the plugin" */
	/* It comes with rswapctl: the one beside rswapctl goes before those in
	 * PATH. */
	bool ours;
	const struct driver *driver; /* of its device */
	/* The words between program and keys. */
	void (*add_words)(const struct front_order *order, struct argvec *args);
};

extern const struct front front_ublk, front_nbd, front_nbdkit;

/* What --front allows. */
#define FRONT_NAMES "auto|ublk|nbd|nbdkit"

/* All, the best one first, and an end. */
extern const struct front *const fronts[];

/* The front end of that name, or NULL. */
const struct front *front_by_name(const char *name);

struct front_path {
	char text[PATH_MAX];
};

/* Where the program is; false if it is not installed. */
bool front_find(const struct front *front, struct front_path *path);

/* What a front end is chosen by. */
struct front_wish {
	const char *name;	     /* or "auto" */
	bool plugin;		     /* a plugin was asked for */
	const struct driver *driver; /* of the device asked for, or NULL */
};

/* The front end of that name; or, for "auto", the best one that this machine
 * can use: nbdkit where a plugin was asked for.  WHY tells the reason of the
 * choice.  NULL if there is none, and then WHY tells that. */
const struct front *front_choose(const struct front_wish *wish,
				 struct error *why);

/* The whole command line of the program at PATH. */
void front_command(const struct front *front, const struct front_path *path,
		   const struct front_order *order, struct argvec *args);

/* The running front end with this control socket, or 0; *FRONT tells which it
 * is, and *START is its run_start_time. */
pid_t front_find_process(const char *control, const struct front **front,
			 uint64_t *start);

/* The plugin that nbdkit loads, a name or a path: RSWAP_PLUGIN, or the one in
 * rswapctl's own prefix, or "rswap", which nbdkit looks for.  Static. */
const char *front_default_plugin(void);

#endif
