#include "turns.h"

/* A tenant of weight 1 goes that far in a turn; large, so that the strides of
 * all weights differ. */
#define STRIDE (UINT64_C(1) << 20)

void turns_init(struct turns *turns)
{
	*turns = (struct turns){ .pass = 0 };
	TAILQ_INIT(&turns->waiting);
}

void turns_wait(struct turns *turns, struct owner *owner)
{
	struct tenant *tenant = owner->tenant;

	if (owner->waits)
		return;
	owner->waits = true;
	TAILQ_INSERT_TAIL(&tenant->waiting, owner, turn);
	if (tenant->waits)
		return;
	tenant->waits = true;
	/* The turns that a tenant did not want are not owed to it. */
	if (tenant->pass < turns->pass)
		tenant->pass = turns->pass;
	TAILQ_INSERT_TAIL(&turns->waiting, tenant, turn);
}

/* Of those that went equally far, the tenant that has waited longest. */
static struct tenant *hindmost(const struct turns *turns)
{
	struct tenant *best = TAILQ_FIRST(&turns->waiting);
	struct tenant *tenant;

	TAILQ_FOREACH(tenant, &turns->waiting, turn)
	{
		if (tenant->pass < best->pass)
			best = tenant;
	}
	return best;
}

struct owner *turns_take(struct turns *turns)
{
	struct tenant *tenant = hindmost(turns);
	struct owner *owner;

	if (!tenant)
		return NULL;
	turns->pass = tenant->pass;
	tenant->pass += STRIDE / tenant->limits.weight;
	TAILQ_REMOVE(&turns->waiting, tenant, turn);
	owner = TAILQ_FIRST(&tenant->waiting);
	TAILQ_REMOVE(&tenant->waiting, owner, turn);
	owner->waits = false;
	tenant->waits = !TAILQ_EMPTY(&tenant->waiting);
	if (tenant->waits)
		TAILQ_INSERT_TAIL(&turns->waiting, tenant, turn);
	return owner;
}
