#include "selftest.h"

#include <inttypes.h>
#include <libnbd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "run.h"
#include "words.h"

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))
/* Of a request: several pages, as the kernel puts neighbours together. */
#define PIECE_BYTES (256u << 10)

/* What is on the device: pages of the round of their last write. */
enum round { ZEROS, FIRST, SECOND };

/* The second round writes every such page anew, one at a time; and what is
 * trimmed and zeroed are such parts of the device, from its begin on. */
#define REWRITE_EACH 7
#define PARTS	     4

static enum round round_of(uint64_t page)
{
	return page % REWRITE_EACH ? FIRST : SECOND;
}

/* Other bytes for each page, each word of the page and each round (splitmix64).
 */
static uint64_t word_of(uint64_t page, uint64_t word, enum round round)
{
	uint64_t x = (page * PAGE_WORDS + word) * 4 + (uint64_t)round;

	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return round == ZEROS ? 0 : x ^ x >> 31;
}

static void fill(uint64_t *words, uint64_t page, enum round round)
{
	for (uint64_t i = 0; i < PAGE_WORDS; i++)
		words[i] = word_of(page, i, round);
}

static bool is_right(const uint64_t *words, uint64_t page, enum round round)
{
	for (uint64_t i = 0; i < PAGE_WORDS; i++) {
		if (words[i] != word_of(page, i, round))
			return false;
	}
	return true;
}

struct device {
	struct nbd_handle *nbd;
	uint64_t size_bytes;
	/* From the begin to here all is zeros. */
	uint64_t zeros_bytes;
	bool rewritten; /* the second round is written */
	uint64_t piece[PIECE_BYTES / sizeof(uint64_t)];
};

static enum round expected(const struct device *d, uint64_t page)
{
	if (page * PAGE_BYTES < d->zeros_bytes)
		return ZEROS;
	return d->rewritten ? round_of(page) : FIRST;
}

static uint64_t piece_bytes(const struct device *d, uint64_t offset)
{
	uint64_t left = d->size_bytes - offset;

	return left < PIECE_BYTES ? left : PIECE_BYTES;
}

static int refused(const char *what, uint64_t offset, struct error *why)
{
	if (run_interrupted())
		error_set(why, "interrupted");
	else
		error_set(why, "the %s at byte %" PRIu64 " failed: %s", what,
			  offset, strerror(nbd_get_errno()));
	return -1;
}

/* --- the steps --- */

static int write_all(struct device *d, struct error *why)
{
	for (uint64_t at = 0; at < d->size_bytes; at += PIECE_BYTES) {
		uint64_t bytes = piece_bytes(d, at);

		for (uint64_t i = 0; i < bytes / PAGE_BYTES; i++)
			fill(d->piece + i * PAGE_WORDS, at / PAGE_BYTES + i,
			     FIRST);
		if (run_interrupted() ||
		    nbd_pwrite(d->nbd, d->piece, bytes, at, 0) < 0)
			return refused("write", at, why);
	}
	return 0;
}

static int check_all(struct device *d, struct error *why)
{
	for (uint64_t at = 0; at < d->size_bytes; at += PIECE_BYTES) {
		uint64_t bytes = piece_bytes(d, at);

		if (run_interrupted() ||
		    nbd_pread(d->nbd, d->piece, bytes, at, 0) < 0)
			return refused("read", at, why);
		for (uint64_t i = 0; i < bytes / PAGE_BYTES; i++) {
			uint64_t page = at / PAGE_BYTES + i;

			if (is_right(d->piece + i * PAGE_WORDS, page,
				     expected(d, page)))
				continue;
			error_set(why,
				  "page %" PRIu64 " is not what was written",
				  page);
			return -1;
		}
	}
	return 0;
}

static int write_again(struct device *d, struct error *why)
{
	for (uint64_t page = 0; page < d->size_bytes / PAGE_BYTES;
	     page += REWRITE_EACH) {
		fill(d->piece, page, SECOND);
		if (run_interrupted() ||
		    nbd_pwrite(d->nbd, d->piece, PAGE_BYTES, page * PAGE_BYTES,
			       0) < 0)
			return refused("write", page * PAGE_BYTES, why);
	}
	d->rewritten = true;
	return 0;
}

/* Whole pages. */
static uint64_t part_bytes(const struct device *d)
{
	return d->size_bytes / PARTS / PAGE_BYTES * PAGE_BYTES;
}

static int trim(struct device *d, struct error *why)
{
	uint64_t bytes = part_bytes(d);

	if (bytes && nbd_trim(d->nbd, bytes, 0, 0) < 0)
		return refused("trim", 0, why);
	d->zeros_bytes = bytes;
	return 0;
}

static int zero(struct device *d, struct error *why)
{
	uint64_t bytes = part_bytes(d);

	if (bytes && nbd_zero(d->nbd, bytes, d->zeros_bytes, 0) < 0)
		return refused("zeroing", d->zeros_bytes, why);
	d->zeros_bytes += bytes;
	return 0;
}

static const struct step {
	const char *name;
	int (*run)(struct device *d, struct error *why);
} steps[] = {
	{ "write every page", write_all },   { "read and compare", check_all },
	{ "write some again", write_again }, { "read and compare", check_all },
	{ "trim a quarter", trim },	     { "zero a quarter", zero },
	{ "read and compare", check_all },
};

int selftest_run(struct nbd_handle *nbd, uint64_t size_bytes, struct error *why)
{
	static struct device d;
	struct error reason;

	d = (struct device){ .nbd = nbd, .size_bytes = size_bytes };
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		uint64_t began_ns = clock_now_ns();

		if (steps[i].run(&d, &reason) < 0) {
			error_set(why, "%s: %.180s", steps[i].name,
				  reason.text);
			return -1;
		}
		printf("  %-17s ok, %s\n", steps[i].name,
		       words_latency((double)(clock_now_ns() - began_ns) / 1e3)
			       .text);
	}
	return 0;
}
