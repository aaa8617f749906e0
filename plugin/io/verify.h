/* Verifying: from the stored units that were read to pages, and whether these
 * are the pages that were written. */
#ifndef RSWAP_VERIFY_H
#define RSWAP_VERIFY_H

#include "io.h"

/* After transfer_read: decodes RUN, a run of IO, into its buf, and tells
 * whether its pages have not changed since the run was planned, and whether the
 * codec finds them right. Where the caller has locked the pages, the run's
 * versions are NULL, and only the codec counts.
 *
 * The first page that does not fit is read again from every shard that has it.
 * The page is locked meanwhile, so that all these reads see the same write.
 * Where the page is right without a shard, the shard's chunk is marked as
 * stale, and the repairer repairs it.  Where the page is right from no shards,
 * it becomes LOST.  The number of these reads is added to io->read_again.
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
