/* The options of the torture tool; torture.c's head tells what each means. */
#ifndef RSWAP_TORTURE_H
#define RSWAP_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

struct options {
	const char *socket, *uri, *device, *until;
	uint64_t size; /* bytes, 0: all */
	uint64_t seed, seconds, max_pages, max_read_wait, interval;
	unsigned threads;
	bool overlap, trims, eio_allowed, report;
};

/* Fills in defaults and what ARGV says; ends the process with status 2 and one
 * line where that is nothing. */
void options_parse(struct options *options, int argc, char **argv);

#endif
