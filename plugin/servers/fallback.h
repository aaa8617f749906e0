/* The local fallback: where slabs go that no server has room for, a file or a
 * block device of this machine.
 *
 *   4096 bytes         what tells that it is rswap's
 *   slot_bytes         slot 0
 *   slot_bytes         slot 1 ...
 *
 * A slot is handed out as a remote_slab, which the file transport
 * (common/file.h) reads and writes.  At its first use by a process zeros are
 * written to it: a file system converts what was only preallocated when it is
 * written first, which takes memory and a journal, and is not to be left to a
 * page that is swapped out.  Some slots are made ready so before they are
 * needed. Later it begins with whatever its last owner left: the page map
 * guards that, as what was never written since is absent and is not read.
 *
 * A file is preallocated whole when it is opened, and keeps its room: slots
 * that are given back are not punched out, and closing leaves the file as it
 * is.  Swap is needed most when everything is full, and a write into a slot
 * must not fail because the file system is, too.  For the same reason a file
 * system that cannot preallocate is refused, and one on memory.
 *
 * What pages held stays in the file, as in any swap partition; it is created
 * for its owner alone (0600).
 *
 * Threads: one, the repairer's (open and close: before and after it), but for
 * what is told to be for any.
 */
#ifndef RSWAP_FALLBACK_H
#define RSWAP_FALLBACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "transport/transport.h"

struct fallback_config {
	const char *path;
	/* What its slots have together, at most; 0: all of a block device, what
	 * an existing file has, default_bytes in a new one. */
	uint64_t size_bytes;
	uint64_t default_bytes;
	uint64_t slot_bytes; /* a multiple of 4096 */
};

struct fallback {
	/* For link_connect's target, of transport_file. */
	struct link_group *group;
	uint64_t slot_bytes;
	uint32_t n_slots;
	_Atomic uint32_t free_slots;
	uint8_t *used;	      /* [n_slots]: the state of each */
	uint32_t ready_slots; /* free ones that zeros were written to */
	void *zeros;	      /* what is written then */
	int fd;
};

/* Where slot 0 begins. */
#define FALLBACK_HEADER_BYTES 4096u

/* Opens it, checks that nobody else uses it and that nothing else is in it,
 * preallocates, and takes it for this process (and those it forks) alone.
 * May take as long as the file system takes to allocate.  All slots are free.
 * 0 or a negative errno, with one line in WHY that names the path; a file that
 * it created is gone again then. */
int fallback_open(struct fallback *fallback,
		  const struct fallback_config *config, struct error *why);
/* All links of the group are closed.  Without effect on one that is all zeros
 * or could not be opened. */
void fallback_close(struct fallback *fallback);

/* Takes a free slot; false where all are taken.  One that is not ready has
 * zeros written to it first. */
bool fallback_take(struct fallback *fallback, struct remote_slab *slot);
/* Makes one more slot ready, where few are; false where that is not worth it.
 */
bool fallback_prepare_one(struct fallback *fallback);
/* No transfer of SLOT is in flight. */
void fallback_give_back(struct fallback *fallback,
			const struct remote_slab *slot);

/* For fallback.c.  0 or a negative errno. */
int fallback_slots_create(struct fallback *fallback);
void fallback_slots_destroy(struct fallback *fallback);

/* Any thread. */
static inline uint64_t fallback_total_bytes(const struct fallback *fallback)
{
	return fallback->n_slots * fallback->slot_bytes;
}
static inline uint64_t fallback_free_bytes(const struct fallback *fallback)
{
	return atomic_load(&fallback->free_slots) * fallback->slot_bytes;
}

#endif
