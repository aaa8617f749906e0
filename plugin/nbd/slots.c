#include "slots.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "transport/memory.h"

#define LANES_PER_LARGE 2u
#define LARGE_MIN	4u

int slots_create(struct slots *slots, uint32_t lanes, struct error *why)
{
	uint32_t n = SLOTS, n_large = lanes / LANES_PER_LARGE;

	if (n_large < LARGE_MIN)
		n_large = LARGE_MIN;
	*slots = (struct slots){
		.all = calloc(n, sizeof *slots->all),
		.n = n,
		.small = pages_map((uint64_t)n * SLOT_SMALL_BYTES),
		.large = pages_map((uint64_t)n_large * SLOT_LARGE_BYTES),
		.n_large = n_large,
		.free_large = calloc(n_large, sizeof *slots->free_large),
		.n_free_large = n_large,
	};
	if (!slots->all || !slots->small || !slots->large ||
	    !slots->free_large) {
		slots_destroy(slots);
		error_set(why, "out of memory for the buffers of requests");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct slot *slot = &slots->all[i];

		slot->small = slots->small + (size_t)i * SLOT_SMALL_BYTES;
		slot->next = slots->free;
		slots->free = slot;
	}
	for (uint32_t i = 0; i < n_large; i++)
		slots->free_large[i] =
			slots->large + (size_t)i * SLOT_LARGE_BYTES;
	return 0;
}

void slots_destroy(struct slots *slots)
{
	free(slots->all);
	free(slots->free_large);
	pages_unmap(slots->small, (uint64_t)slots->n * SLOT_SMALL_BYTES);
	pages_unmap(slots->large, (uint64_t)slots->n_large * SLOT_LARGE_BYTES);
	*slots = (struct slots){ 0 };
}

static bool get_huge(struct slots *slots, struct slot *slot, uint32_t bytes)
{
	void *p;

	if (slots->huge_bytes + bytes > SLOT_HUGE_BYTES)
		return false;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return false;
	slots->huge_bytes += bytes;
	slot->buffer = p;
	slot->huge_bytes = bytes;
	return true;
}

static bool get_buffer(struct slots *slots, struct slot *slot, uint32_t bytes)
{
	slot->huge_bytes = 0;
	if (bytes <= SLOT_SMALL_BYTES) {
		slot->buffer = slot->small;
		return true;
	}
	if (bytes > SLOT_LARGE_BYTES)
		return get_huge(slots, slot, bytes);
	if (slots->n_free_large == 0)
		return false;
	slot->buffer = slots->free_large[--slots->n_free_large];
	return true;
}

struct slot *slots_get(struct slots *slots, uint32_t bytes)
{
	struct slot *slot = slots->free;

	if (!slot || !get_buffer(slots, slot, bytes)) {
		slots->wanted = true;
		return NULL;
	}
	slots->free = slot->next;
	slot->next = NULL;
	slot->head_bytes = slot->data_bytes = 0;
	return slot;
}

void slots_put(struct slots *slots, struct slot *slot)
{
	if (slot->huge_bytes) {
		munmap(slot->buffer, slot->huge_bytes);
		slots->huge_bytes -= slot->huge_bytes;
	} else if (slot->buffer != slot->small) {
		slots->free_large[slots->n_free_large++] = slot->buffer;
	}
	slot->next = slots->free;
	slots->free = slot;
}
