/* Turns the stored units that were read into pages, and verifies that these are
 * the pages that were written. */
#ifndef RSWAP_VERIFY_H
#define RSWAP_VERIFY_H

#include "io.h"

/* After transfer_read: decodes RUN, a run of IO, into run->buf.  Checks that no
 * page has changed since the run was planned, and that the codec finds every
 * page right.  Where the caller has locked the pages (the run's versions are
 * NULL), only the codec is asked.
 *
 * The first page that is wrong is read again from every shard that has the
 * page.  The page is locked meanwhile, so that all these reads see the same
 * write.  Where the page is right without a certain shard, that shard's chunk
 * is marked as stale, and the repairer repairs the chunk.  Where no shards give
 * the right page, the page becomes LOST.  The number of these reads is added to
 * io->read_again.
 *
 *   0         all pages are right
 *   -ESTALE   shards were marked, a page is LOST, or a page changed meanwhile:
 *             plan anew
 *   -EAGAIN   read again, after waiting for the obstacle if there is one:
 *             another thread has locked the page, or a server that may have the
 *             page is RECOVERING, or the page was right when it was read again
 *   else      as transfer_read */
int verify_run(struct io *io, const struct io_run *run);

#endif
