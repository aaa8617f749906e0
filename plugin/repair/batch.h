/* Pages that the repair thread locks and handles at once. */
#ifndef RSWAP_BATCH_H
#define RSWAP_BATCH_H

#include "servers/core.h"

/* A request for one of these pages waits meanwhile. */
#define BATCH_PAGES 16u

/* How many pages from PAGE on make a batch: they are chunks of one slab, one
 * after the other, and BATCH_PAGES at most. */
uint32_t batch_pages(const struct engine *engine, uint64_t page);

/* Locks the first of N pages from PAGE on, waiting for the lock as long as an
 * attempt may take, and those that follow as far as nobody has locked them: a
 * read of the pages already locked would wait, too.  How many are locked. */
uint32_t batch_lock(struct engine *engine, uint64_t page, uint32_t n);
void batch_unlock(struct engine *engine, uint64_t page, uint32_t n);

#endif
