/* What the torture tool writes into a page, and what a page that was read is.
 *
 * A page consists of eight parts of 512 bytes, each with a head of its own, so
 * that a page of two values tells which.  Everything is made from the page's
 * number, the stamp of its write and the run's seed; stamp 0 is a page of
 * zeros. No state, so any thread may call these. */
#ifndef RSWAP_TORTURE_VALUE_H
#define RSWAP_TORTURE_VALUE_H

#include <stddef.h>
#include <stdint.h>

#define PAGE  4096u
#define PARTS 8u

enum found_kind {
	FOUND_STAMP,   /* this page's, of the write STAMP; 0 for zeros */
	FOUND_FOREIGN, /* what was written to another page, PAGE */
	FOUND_TORN,   /* of STAMP in front, and something else, OTHER, behind */
	FOUND_GARBAGE /* nothing that this run has written */
};

struct found {
	enum found_kind kind;
	uint64_t page, stamp;
	uint64_t other; /* torn: the first other stamp */
	unsigned parts; /* torn: bit by bit, which parts are STAMP's */
};

uint64_t value_mix(uint64_t x);

/* Makes the page of PAGE bytes at BUF. */
void value_fill(void *buf, uint64_t page, uint64_t stamp, uint64_t seed);

/* Tells what the page at BUF is, which was read as PAGE. */
struct found value_find(const void *buf, uint64_t page, uint64_t seed);

/* Puts it in words; TEXT of SIZE bytes is returned. */
const char *value_describe(const struct found *found, char *text, size_t size);

#endif
