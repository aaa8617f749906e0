#include "tenant.h"

#include <stdio.h>

#include "size.h"

const struct tenant_limits tenant_no_limits = {
	.memory_bytes = TENANT_ANY_BYTES,
	.sessions = TENANT_ANY,
	.lanes = TENANT_ANY,
	.weight = 1,
};

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* What is left of A after B is taken from it. */
static uint32_t less(uint32_t a, uint32_t b)
{
	return a > b ? a - b : 0;
}

static uint32_t whole_slabs(const struct tenants *tenants, uint64_t bytes)
{
	uint64_t slabs = bytes / tenants->pool->slab_bytes;

	return slabs < TENANT_ANY ? (uint32_t)slabs : TENANT_ANY;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t tenant_reserved_bytes(const struct tenant *t)
{
	return t->reserved_bytes - t->over_bytes;
}

/* No more than the tenant may have, and than there is: nothing is held back in
 * vain. */
static uint32_t guaranteed_slabs(const struct tenant *t)
{
	uint64_t bytes =
		larger(t->limits.guaranteed_bytes, tenant_reserved_bytes(t));
	uint32_t most = smaller(whole_slabs(t->tenants, t->limits.memory_bytes),
				t->tenants->pool->count);

	return smaller(whole_slabs(t->tenants, bytes), most);
}

/* Guaranteed to T, and not in use yet. */
static uint32_t reserve_of(const struct tenant *t)
{
	return less(guaranteed_slabs(t), t->slabs);
}

void tenant_limit(struct tenant *t, const struct tenant_limits *limits)
{
	t->tenants->reserved -= reserve_of(t);
	t->limits = *limits;
	t->tenants->reserved += reserve_of(t);
	atomic_store_explicit(&t->weight, limits->weight, memory_order_relaxed);
}

void tenant_reserve(struct tenant *t, uint64_t bytes, uint64_t over_bytes)
{
	t->tenants->reserved -= reserve_of(t);
	t->reserved_bytes = bytes;
	t->over_bytes = over_bytes;
	t->tenants->reserved += reserve_of(t);
}

uint64_t tenant_unreserved_bytes(const struct tenant *t)
{
	uint64_t used_bytes = t->slabs * t->tenants->pool->slab_bytes;
	uint64_t bytes = larger(t->limits.guaranteed_bytes, used_bytes);

	return bytes > t->reserved_bytes ? bytes - t->reserved_bytes : 0;
}

void tenant_init(struct tenant *t, struct tenants *tenants, const char *name,
		 const struct tenant_limits *limits)
{
	t->tenants = tenants;
	snprintf(t->name, sizeof t->name, "%s", name);
	TAILQ_INIT(&t->waiting);
	tenant_limit(t, limits);
}

/* --- sessions and lanes --- */

bool tenant_has_place(const struct tenant *t, uint32_t lanes, struct error *why)
{
	if (t->sessions >= t->limits.sessions) {
		error_set(why, "tenant %s has %u sessions (sessions=%u)",
			  t->name, t->sessions, t->limits.sessions);
		return false;
	}
	if (lanes > less(t->limits.lanes, t->lanes)) {
		error_set(why, "tenant %s has %u lanes and wants %u (lanes=%u)",
			  t->name, t->lanes, lanes, t->limits.lanes);
		return false;
	}
	return true;
}

/* --- slabs --- */

static uint32_t pool_free(const struct tenants *tenants)
{
	return less(slab_pool_usable(tenants->pool), tenants->slabs);
}

/* A tenant may always have its guarantee, as far as slabs are free: a guarantee
 * that was raised may be more than is free. */
static uint32_t room(const struct tenant *t)
{
	uint32_t free_slabs = pool_free(t->tenants);
	uint32_t own = reserve_of(t);
	uint64_t others = t->tenants->reserved - own;
	uint32_t shared =
		others < free_slabs ? free_slabs - (uint32_t)others : 0;
	uint32_t most = smaller(own, free_slabs);

	return shared > most ? shared : most;
}

static uint32_t left(const struct tenant *t)
{
	return less(whole_slabs(t->tenants, t->limits.memory_bytes), t->slabs);
}

uint32_t tenant_room(const struct tenant *t)
{
	return smaller(room(t), left(t));
}

uint64_t tenant_free_bytes(const struct tenant *t)
{
	return tenant_room(t) * t->tenants->pool->slab_bytes;
}

bool tenant_take_slab(struct tenant *t)
{
	if (!tenant_room(t))
		return false;
	t->tenants->reserved -= reserve_of(t);
	t->slabs++;
	t->tenants->slabs++;
	t->tenants->reserved += reserve_of(t);
	t->refused = false;
	return true;
}

void tenant_put_slab(struct tenant *t)
{
	t->tenants->reserved -= reserve_of(t);
	t->slabs--;
	t->tenants->slabs--;
	t->tenants->reserved += reserve_of(t);
}

bool tenant_refused(struct tenant *t, struct error *why)
{
	const struct tenants *all = t->tenants;
	uint64_t free_bytes = pool_free(all) * all->pool->slab_bytes;
	bool told = t->refused;

	if (!left(t))
		error_set(why, "tenant %s has all of its memory (memory=%s)",
			  t->name, size_format(t->limits.memory_bytes).text);
	else if (!free_bytes)
		error_set(why, "all memory is in use");
	else
		error_set(why, "the last %s are guaranteed to other tenants",
			  size_format(free_bytes).text);
	t->refused = true;
	return !told;
}

uint32_t tenant_beyond(const struct tenant *t, uint32_t count)
{
	return less(count, guaranteed_slabs(t));
}
