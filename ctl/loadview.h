/* What a device does under load: measured, and shown in a table, for try and
 * bench. */
#ifndef RSWAPCTL_LOADVIEW_H
#define RSWAPCTL_LOADVIEW_H

#include <stdint.h>

#include "error.h"

struct json_object;
struct nbd_handle;

/* A line for each server of a front end's STATUS, and one that tells how pages
 * are kept. */
void loadview_print_setup(struct json_object *status);

/* Writes every page of the device once, measures reads and writes of one page,
 * one at a time and 32 at a time, each for so long, and prints a line for each.
 * With RUNS, a JSON array, it adds an object for each instead.  0; or -1, also
 * on a signal (run.h). */
int loadview_measure(struct nbd_handle *nbd, uint64_t size_bytes, uint64_t ns,
		     struct json_object *runs, struct error *why);

#endif
