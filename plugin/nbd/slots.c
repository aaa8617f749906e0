#include "slots.h"

#include <errno.h>
#include <stdlib.h>

#include "transport/memory.h"

#define LANES_PER_BUFFER 4u
#define BUFFERS_MIN	 4u

/* One of so many parts is kept for clients: half. */
#define KEPT_PART 2u

/* The bytes of the buffers of each kind. */
static const uint32_t kind_bytes[SLOTS_KINDS] = {
	[SLOTS_ANY] = SLOT_SMALL_BYTES,
	[SLOTS_MEDIUM] = SLOT_MEDIUM_BYTES,
	[SLOTS_LARGE] = SLOT_LARGE_BYTES,
};

static uint64_t memory_bytes(const struct slots *slots, enum slots_kind kind)
{
	return (uint64_t)slots->total[kind] * kind_bytes[kind];
}

static bool make_buffers(struct slots *slots, enum slots_kind kind)
{
	uint32_t n = slots->total[kind];

	slots->memory[kind] = pages_map(memory_bytes(slots, kind));
	slots->buffers[kind] = calloc(n, sizeof *slots->buffers[kind]);
	if (!slots->memory[kind] || !slots->buffers[kind])
		return false;
	for (uint32_t i = 0; i < n; i++)
		slots->buffers[kind][i] =
			slots->memory[kind] + (size_t)i * kind_bytes[kind];
	return true;
}

/* Each slot has one of the smallest buffers. */
static bool make_slots(struct slots *slots)
{
	uint32_t n = slots->total[SLOTS_ANY];

	slots->memory[SLOTS_ANY] = pages_map(memory_bytes(slots, SLOTS_ANY));
	slots->all = calloc(n, sizeof *slots->all);
	if (!slots->memory[SLOTS_ANY] || !slots->all)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct slot *slot = &slots->all[i];

		slot->small =
			slots->memory[SLOTS_ANY] + (size_t)i * SLOT_SMALL_BYTES;
		slot->next = slots->free;
		slots->free = slot;
	}
	return true;
}

int slots_create(struct slots *slots, uint32_t lanes, struct mapper *mapper,
		 struct error *why)
{
	uint32_t n = lanes / LANES_PER_BUFFER;

	if (n < BUFFERS_MIN)
		n = BUFFERS_MIN;
	*slots = (struct slots){
		.mapper = mapper,
		.total = { SLOTS, n, n },
		.n_free = { SLOTS, n, n },
	};
	if (make_slots(slots) && make_buffers(slots, SLOTS_MEDIUM) &&
	    make_buffers(slots, SLOTS_LARGE))
		return 0;
	slots_destroy(slots);
	error_set(why, "out of memory for the buffers of requests");
	return -ENOMEM;
}

void slots_destroy(struct slots *slots)
{
	free(slots->all);
	for (int kind = 0; kind < SLOTS_KINDS; kind++) {
		free(slots->buffers[kind]);
		pages_unmap(slots->memory[kind],
			    memory_bytes(slots, (enum slots_kind)kind));
	}
	*slots = (struct slots){ 0 };
}

/* --- clients --- */

void slots_join(struct slots *slots, struct slots_client *client)
{
	client->next = slots->clients;
	slots->clients = client;
	slots->n_clients++;
}

void slots_leave(struct slots *slots, struct slots_client *client)
{
	struct slots_client **at = &slots->clients;

	slots_forget(slots, client);
	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	slots->n_clients--;
}

void slots_forget(struct slots *slots, struct slots_client *client)
{
	if (client->huge.state == MAPPING_NONE)
		return;
	mapper_forget(slots->mapper, &client->huge);
	slots->huge_bytes -= client->huge.bytes;
}

bool slots_others_wait(const struct slots *slots,
		       const struct slots_client *client)
{
	for (const struct slots_client *c = slots->clients; c; c = c->next) {
		if (c != client && c->waits)
			return true;
	}
	return false;
}

void slots_clear_waits(struct slots *slots)
{
	for (struct slots_client *c = slots->clients; c; c = c->next)
		c->waits = false;
}

/* What is kept for each client. */
static uint32_t part(const struct slots *slots, enum slots_kind kind)
{
	uint32_t n = slots->total[kind] / (KEPT_PART * slots->n_clients);

	return n > 0 ? n : 1;
}

/* What the other clients have not taken of what is kept for them. */
static uint32_t kept_for_others(const struct slots *slots,
				const struct slots_client *client,
				enum slots_kind kind)
{
	uint32_t each = part(slots, kind), kept = 0;

	for (const struct slots_client *c = slots->clients; c; c = c->next) {
		if (c != client && c->has[kind] < each)
			kept += each - c->has[kind];
	}
	return kept;
}

static bool may_take(const struct slots *slots,
		     const struct slots_client *client, enum slots_kind kind)
{
	if (client->has[kind] < part(slots, kind))
		return slots->n_free[kind] > 0;
	return slots->n_free[kind] > kept_for_others(slots, client, kind);
}

static void take(struct slots *slots, struct slots_client *client,
		 enum slots_kind kind)
{
	slots->n_free[kind]--;
	client->has[kind]++;
}

static void give_back(struct slots *slots, struct slots_client *client,
		      enum slots_kind kind)
{
	slots->n_free[kind]++;
	client->has[kind]--;
}

/* --- slots --- */

/* These return as slots_get. */
static int get_huge(struct slots *slots, struct slots_client *client,
		    struct slot *slot, uint32_t bytes)
{
	void *memory;
	int rc;

	if (client->huge.state == MAPPING_NONE) {
		if (slots->huge_bytes + bytes > SLOT_HUGE_BYTES)
			return -EAGAIN;
		slots->huge_bytes += bytes;
		mapper_ask(slots->mapper, &client->huge, bytes);
	}
	rc = mapper_take(slots->mapper, &client->huge, &memory);
	if (!rc) {
		slot->buffer = memory;
		slot->huge_bytes = bytes;
	} else if (rc == -ENOMEM) {
		slots->huge_bytes -= bytes;
	}
	return rc;
}

static int get_buffer(struct slots *slots, struct slots_client *client,
		      struct slot *slot, uint32_t bytes)
{
	enum slots_kind kind = SLOTS_LARGE;

	slot->huge_bytes = 0;
	slot->kind = SLOTS_ANY;
	if (bytes <= SLOT_SMALL_BYTES) {
		slot->buffer = slot->small;
		return 0;
	}
	if (bytes > SLOT_LARGE_BYTES)
		return get_huge(slots, client, slot, bytes);
	/* Without a medium buffer a large one does. */
	if (bytes <= SLOT_MEDIUM_BYTES && may_take(slots, client, SLOTS_MEDIUM))
		kind = SLOTS_MEDIUM;
	else if (!may_take(slots, client, SLOTS_LARGE))
		return -EAGAIN;
	take(slots, client, kind);
	slot->kind = kind;
	slot->buffer = slots->buffers[kind][slots->n_free[kind]];
	return 0;
}

int slots_get(struct slots *slots, struct slots_client *client, uint32_t bytes,
	      struct slot **got)
{
	struct slot *slot = slots->free;
	int rc = -EAGAIN;

	if (may_take(slots, client, SLOTS_ANY))
		rc = get_buffer(slots, client, slot, bytes);
	if (rc == -EAGAIN)
		slots->wanted = true;
	if (rc)
		return rc;
	take(slots, client, SLOTS_ANY);
	slots->free = slot->next;
	slot->next = NULL;
	slot->client = client;
	slot->head_bytes = slot->data_bytes = 0;
	*got = slot;
	return 0;
}

void slots_put(struct slots *slots, struct slot *slot)
{
	if (slot->huge_bytes) {
		mapper_put(slots->mapper, slot->buffer, slot->huge_bytes);
		slots->huge_bytes -= slot->huge_bytes;
	} else if (slot->kind != SLOTS_ANY) {
		slots->buffers[slot->kind][slots->n_free[slot->kind]] =
			slot->buffer;
		give_back(slots, slot->client, slot->kind);
	}
	give_back(slots, slot->client, SLOTS_ANY);
	slot->next = slots->free;
	slots->free = slot;
}
