/* Requests of one page to a device, so many at a time, and how long they take.
 * A figure has the way from this program to the front end in it. */
#ifndef RSWAPCTL_LOAD_H
#define RSWAPCTL_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

struct nbd_handle;

#define LOAD_PAGE_BYTES 4096u
#define LOAD_DEPTH_MAX	64u
/* So many times are kept; of more of them, a random choice. */
#define LOAD_TIMES_MAX (1u << 20)

enum load_op { LOAD_READ, LOAD_WRITE };

struct load {
	enum load_op op;
	unsigned depth;	     /* in flight at a time */
	uint64_t size_bytes; /* pages below it are chosen at random */
	uint64_t ns;	     /* for so long */
};

struct load_times {
	uint32_t *ns; /* LOAD_TIMES_MAX of them; load_free frees it */
	size_t kept;
	uint64_t all; /* how many there were */
};

struct load_result {
	struct load_times times;
	uint64_t took_ns;
};

/* 0; or -1, also on a signal (run.h).  The caller frees the times in any case.
 */
int load_run(struct nbd_handle *nbd, const struct load *load,
	     struct load_result *result, struct error *why);

/* 0 or -1, without memory. */
int load_times_create(struct load_times *times);
void load_times_add(struct load_times *times, uint64_t ns);
void load_times_free(struct load_times *times);

/* So that quantiles may be asked for. */
void load_times_sort(struct load_times *times);
/* In microseconds: the time that PER_MILLE of 1000 requests do not exceed; 0
 * gives the shortest, 1000 the longest.  0 without times. */
double load_times_us(const struct load_times *times, unsigned per_mille);

#endif
