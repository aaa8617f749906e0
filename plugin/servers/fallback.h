/* The local fallback: a file or a block device of this machine, for slabs that
 * no server has room for.
 *
 *   4096 bytes         the header, which marks the file as rswap's
 *   slot_bytes         slot 0
 *   slot_bytes         slot 1 ...
 *
 * A slot has room for a slab's chunks, each in blocks of its own
 * (transport/file.h).  So sealed pages, which are longer than a block, take two
 * blocks each.  Elsewhere a slot counts as one slab, as those of servers do.
 *
 * A slot is given out as a remote_slab, which the file transport
 * (transport/file.h) reads and writes.  Before a process uses a slot for the
 * first time, it writes zeros to the slot.  The first write makes a file system
 * convert the preallocated blocks, which takes memory and a journal; a page
 * that is swapped out must not wait for that.  Some slots are made ready in
 * this way before they are needed.  A slot that is used again still has the
 * bytes of its last slab.  No request reads them: a page that was not written
 * since is ABSENT in the page map.
 *
 * A file is preallocated whole when it is opened, and keeps its room.  Slots
 * that are given back are not punched out, and closing leaves the file as it
 * is.  Swap is needed most when everything is full, and a write into a slot
 * must not fail because the file system is full, too.  For the same reason a
 * file system that cannot preallocate is refused, and a file system on memory.
 *
 * What was written stays in the file, as in any swap partition.  Only the
 * file's owner can read it (0600).
 *
 * Threads: only the thread of the fallback's session (servers/session_local.c)
 * calls these functions. fallback_open comes before that thread, fallback_close
 * after it.  Functions that any thread may call say so.
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
	/* The limit of all slots together, on the disk.  0: all of a block
	 * device, the size of an existing file, or default_slots for a new
	 * file. */
	uint64_t size_bytes;
	uint64_t default_slots;
	uint64_t slab_bytes;
	uint32_t chunk_bytes;
};

struct fallback {
	/* For link_connect's target with transport_file. */
	struct link_group *group;
	uint64_t slot_bytes; /* on the disk */
	uint64_t slab_bytes; /* that it stands for */
	uint32_t n_slots;
	_Atomic uint32_t free_slots;
	uint8_t *used;	      /* [n_slots]: the state of each */
	uint32_t ready_slots; /* free slots that are zeroed */
	void *zeros;	      /* for zeroing slots */
	int fd;
};

/* Where slot 0 begins. */
#define FALLBACK_HEADER_BYTES 4096u

/* Opens the file, checks that no other process uses it and that nothing else is
 * in it, preallocates it, and takes it for this process and its children alone.
 * May take as long as the file system takes to allocate.  All slots are free.
 * 0 or a negative errno, with one line in WHY that names the path; then a file
 * that it created is removed again. */
int fallback_open(struct fallback *fallback,
		  const struct fallback_config *config, struct error *why);
/* All links of the group are closed.  Without effect on a struct that is all
 * zeros, or that could not be opened. */
void fallback_close(struct fallback *fallback);

/* Takes a free slot; false where all slots are taken.  Zeroes the slot first,
 * where it is not ready. */
bool fallback_take(struct fallback *fallback, struct remote_slab *slot);
/* Makes one more slot ready; false where enough slots are ready. */
bool fallback_prepare_one(struct fallback *fallback);
/* No transfer of SLOT is in flight. */
void fallback_give_back(struct fallback *fallback,
			const struct remote_slab *slot);

/* For fallback.c.  0 or a negative errno. */
int fallback_slots_create(struct fallback *fallback);
void fallback_slots_destroy(struct fallback *fallback);

/* In bytes of slabs.  Any thread. */
static inline uint64_t fallback_total_bytes(const struct fallback *fallback)
{
	return fallback->n_slots * fallback->slab_bytes;
}
static inline uint64_t fallback_free_bytes(const struct fallback *fallback)
{
	return atomic_load(&fallback->free_slots) * fallback->slab_bytes;
}

#endif
