/* How much of a pool's memory may still be reserved: what all clients have
 * reserved on all of its servers, and a line that says so.
 *
 * The thread of the client of etcd uses it. */
#ifndef RSWAP_POOL_ROOM_H
#define RSWAP_POOL_ROOM_H

#include "members.h"
#include "reservation.h"

/* What is reserved on each server of a pool. */
struct room {
	struct pool_settings settings;
	uint64_t *reserved_bytes; /* [members->n], as the entries there */
};

/* Reads it, for MEMBERS as they are now; also after it failed the caller frees
 * ROOM by room_free.  0, or a negative errno with WHY, as of etcd.h. */
int room_read(struct room *room, struct etcd *etcd, const struct pool *pool,
	      const struct members *members, uint64_t deadline_ns,
	      struct error *why);
void room_free(struct room *room);

/* Of some servers of a pool together. */
struct room_figures {
	unsigned servers;
	uint64_t memory_bytes, reserved_bytes;
	uint64_t left_bytes; /* that a client may still reserve there */
};

/* There is less than WANTED_BYTES: the figures in WHY.  NOTE, which may be
 * empty, says more of what is left.  Returns -ENOSPC. */
int room_refuse(const struct room_figures *figures, uint64_t wanted_bytes,
		uint32_t overcommit_permille, const char *note,
		struct error *why);

#endif
