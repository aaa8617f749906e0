/* What top shows of a target: on a screen, or as lines of a table. */
#ifndef RSWAPCTL_TOPVIEW_H
#define RSWAPCTL_TOPVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "error.h"
#include "targets.h"

struct topview {
	FILE *out;
	char time[32]; /* of this look */
	/* of a screen */
	size_t columns;
	bool utf8;
};

/* Writes what TARGET has ANSWERed; NULL: WHY there is no answer. */
typedef void topview_writer(const struct topview *view,
			    const struct target *target,
			    struct json_object *answer,
			    const struct error *why);

/* For a screen, whose title comes first. */
void topview_title(const struct topview *view, unsigned interval_s);
topview_writer topview_screen;

/* For a table, with a heading in front.  A target has lines from its second
 * look on: before, it has no rates. */
void topview_heading(FILE *out);
topview_writer topview_table;

#endif
