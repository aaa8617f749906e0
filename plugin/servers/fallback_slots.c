/* The slots of the fallback: taking them, giving them back, and zeroing them
 * before the first use. */
#include "fallback.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "transport/memory.h"

/* How many bytes of slots are zeroed ahead of their use, and the most that one
 * system call writes. */
#define READY_BYTES (64u << 20)
#define ZERO_BYTES  (256u << 10)

/* The states of a slot in `used'. */
enum { SLOT_RAW, SLOT_READY, SLOT_USED };

int fallback_slots_create(struct fallback *fallback)
{
	fallback->zeros = pages_map(ZERO_BYTES);
	return fallback->zeros ? 0 : -ENOMEM;
}

void fallback_slots_destroy(struct fallback *fallback)
{
	pages_unmap(fallback->zeros, ZERO_BYTES);
}

static uint64_t slot_address(const struct fallback *fallback, uint32_t slot)
{
	return FALLBACK_HEADER_BYTES + slot * fallback->slot_bytes;
}

static bool find(const struct fallback *fallback, int state, uint32_t *slot)
{
	const uint8_t *found = memchr(fallback->used, state, fallback->n_slots);

	if (found)
		*slot = (uint32_t)(found - fallback->used);
	return found != NULL;
}

/* Errors are ignored here: a disk that fails also fails in the transfers. */
static void write_zeros(const struct fallback *fallback, uint32_t slot)
{
	uint64_t at = slot_address(fallback, slot);
	uint64_t left = fallback->slot_bytes;

	while (left > 0) {
		size_t bytes = left < ZERO_BYTES ? left : ZERO_BYTES;
		ssize_t n =
			pwrite(fallback->fd, fallback->zeros, bytes, (off_t)at);

		if (n <= 0 && errno != EINTR)
			return;
		if (n > 0) {
			at += (uint64_t)n;
			left -= (uint64_t)n;
		}
	}
}

static void make_ready(struct fallback *fallback, uint32_t slot)
{
	write_zeros(fallback, slot);
	fallback->used[slot] = SLOT_READY;
	fallback->ready_slots++;
}

bool fallback_prepare_one(struct fallback *fallback)
{
	uint32_t slot;

	if (fallback->ready_slots * fallback->slot_bytes >= READY_BYTES ||
	    !find(fallback, SLOT_RAW, &slot))
		return false;
	make_ready(fallback, slot);
	return true;
}

bool fallback_take(struct fallback *fallback, struct remote_slab *slot)
{
	uint32_t n;

	if (!find(fallback, SLOT_READY, &n)) {
		if (!find(fallback, SLOT_RAW, &n))
			return false;
		make_ready(fallback, n);
	}
	fallback->used[n] = SLOT_USED;
	fallback->ready_slots--;
	atomic_fetch_sub(&fallback->free_slots, 1);
	*slot = (struct remote_slab){ .address = slot_address(fallback, n),
				      .slab = n };
	return true;
}

void fallback_give_back(struct fallback *fallback,
			const struct remote_slab *slot)
{
	fallback->used[slot->slab] = SLOT_READY;
	fallback->ready_slots++;
	atomic_fetch_add(&fallback->free_slots, 1);
}
