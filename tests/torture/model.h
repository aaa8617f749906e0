/* Which values a read of a page may return.
 *
 * Each request begins and ends at a tick of one counter: begin is taken before
 * it is sent, end after its answer has come.  A read may return what a write W
 * wrote
 *   - if W began before the read ended, and
 *   - unless an acknowledged write began after W had ended, and ended before
 * the read began;
 *   - and, once a read of the page, with no write of it in flight, has returned
 *     a value, only that, until a write that began later.
 * A write that failed may have taken effect before it ended, or not at all; it
 * replaces nothing.  A trim is a write of zeros (stamp 0).  Whether a read may
 * fail is not the model's affair, nor does it change what a page may hold.
 *
 * Any thread may call these; each has a slot of its own for what it has in
 * flight.  The model allocates at its beginning only. */
#ifndef RSWAP_TORTURE_MODEL_H
#define RSWAP_TORTURE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct model;

/* SLOTS, of requests at a time, is at most MODEL_SLOTS_MAX. */
#define MODEL_SLOTS_MAX 64

/* Every page holds zeros.  NULL where there is no memory. */
struct model *model_create(uint64_t pages, unsigned slots);
void model_free(struct model *m);

/* A request begins, to be sent after this: its tick, which is also the stamp of
 * what it writes.  model_finish ends it when its pages were told. */
uint64_t model_begin(struct model *m, unsigned slot);
void model_finish(struct model *m, unsigned slot);

/* The write that began at BEGAN is going to write STAMP (BEGAN, or 0: zeros).
 */
void model_write_begin(struct model *m, uint64_t page, uint64_t began,
		       uint64_t stamp);

/* It is over. */
void model_write_end(struct model *m, uint64_t page, uint64_t began,
		     bool acked);

/* The read that began at BEGAN, and is over, has returned STAMP: whether it
 * may. If not, TEXT of SIZE bytes says what was allowed. */
bool model_read_end(struct model *m, uint64_t page, uint64_t began,
		    uint64_t stamp, char *text, size_t size);

/* How often a page had more writes than the model remembers: from then until
 * its next acknowledged write any of its values is let pass. */
uint64_t model_blind(const struct model *m);

/* What a read that begins now may return: how many values, and one of them. */
unsigned model_may(struct model *m, uint64_t page, uint64_t *stamp);

#endif
