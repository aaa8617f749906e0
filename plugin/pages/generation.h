/* The generation (seal.h) of each page's unit.  It is kept on this machine, so
 * that no server can answer with an earlier unit of a page.
 *
 * A generation has 48 bits in three words, as a table of 64 bits for each page
 * would be a third larger.  A thread that reads while another thread sets the
 * generation may get words of both.  No unit opens with such a generation but
 * by an accident of 2^-128, or one that a server kept from an earlier write of
 * the page.  In either case the page's version (pagemap.h) has changed since
 * the reader took it, and the reader reads again.
 */
#ifndef RSWAP_GENERATION_H
#define RSWAP_GENERATION_H

#include <stdatomic.h>
#include <stdint.h>

#include "error.h"

struct generation {
	_Atomic uint16_t words[3]; /* the low bits first */
};

_Static_assert(sizeof(struct generation) == 6, "a generation grew");

/* One for each page: 6 bytes.  Any thread; nothing here blocks or allocates,
 * except create and destroy. */
struct generations {
	uint64_t pages;
	struct generation *of; /* [pages], page-aligned */
};

/* All are 0, which no unit has.  The memory is populated, so that no later
 * access faults.  0 or a negative errno with a line in WHY. */
int generations_create(struct generations *g, uint64_t pages,
		       struct error *why);
void generations_destroy(struct generations *g);

/* The last generation set for PAGE.  A thread that sees a part of it also sees
 * what the thread that set it had written before. */
static inline uint64_t generations_get(const struct generations *g,
				       uint64_t page)
{
	uint64_t generation = 0;

	for (int i = 0; i < 3; i++)
		generation |=
			(uint64_t)atomic_load_explicit(&g->of[page].words[i],
						       memory_order_acquire)
			<< 16 * i;
	return generation;
}

/* By the thread that has locked PAGE. */
static inline void generations_set(struct generations *g, uint64_t page,
				   uint64_t generation)
{
	for (int i = 0; i < 3; i++)
		atomic_store_explicit(&g->of[page].words[i],
				      (uint16_t)(generation >> 16 * i),
				      memory_order_release);
}

#endif
