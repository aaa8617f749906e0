/* When check last looked at a plugin, and how many of the plugin's requests had
 * failed until then.  So check tells each failure once, also if all is well
 * again.  Each name or socket has a file in .looks/ of the state directory.  A
 * plugin that was started anew has no last look. */
#ifndef RSWAPCTL_LASTLOOK_H
#define RSWAPCTL_LASTLOOK_H

#include <stdint.h>

#include "error.h"

struct json_object;

struct lastlook {
	uint64_t failed_reads, failed_writes; /* since then */
	char since[64]; /* "since check last looked, at 2026-11-28 22:10:05",
			 * or "since the plugin started" */
	char when[72];	/* ", the last one 35 s ago", or "" */
};

/* The failures since the last look at NAME (or a socket's path), by the status
 * ANSWER. */
void lastlook_compare(const char *name, struct json_object *answer,
		      struct lastlook *look);

/* Makes ANSWER the last look.  0 or -1. */
int lastlook_keep(const char *name, struct json_object *answer,
		  struct error *why);

#endif
