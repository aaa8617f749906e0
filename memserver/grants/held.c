#include "held.h"

#include "loops/container.h"

static void stop_timer(struct owner *owner)
{
	ev_timer_stop(owner->grants->loop, &owner->held_timer);
}

static void check_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	link_set_drop_freed(
		container_of(watcher, struct owner, held_timer)->links);
}

/* No link uses SLAB any more. */
static void unheld(struct slab *slab)
{
	struct owner *owner = slab->freed_by;

	TAILQ_REMOVE(&owner->held, slab, owned);
	slab->freed_by = NULL;
	tenant_put_slab(owner->tenant);
	account_give(&owner->account, LIMITED_HELD, 1);
	if (--owner->held_count == 0)
		stop_timer(owner);
	owner->settled(owner);
}

static void disown(struct owner *owner, struct slab *slab)
{
	TAILQ_REMOVE(&owner->slabs, slab, owned);
	owner->slab_count--;
	slab->unheld = unheld;
	slab->freed_by = owner;
	if (!slab_disown(slab)) {
		tenant_put_slab(owner->tenant);
		return;
	}
	TAILQ_INSERT_TAIL(&owner->held, slab, owned);
	account_count(&owner->account, LIMITED_HELD);
	if (owner->held_count++)
		return;
	ev_now_update(owner->grants->loop);
	ev_timer_again(owner->grants->loop, &owner->held_timer);
}

uint32_t held_free(struct owner *owner, uint32_t number)
{
	struct slab *slab = slab_find(owner->grants->pool, number, owner->key);

	if (!slab)
		return WIRE_E_NO_SLAB;
	disown(owner, slab);
	return 0;
}

static void give_back_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct owner *owner = container_of(watcher, struct owner, give_back);

	(void)loop;
	(void)events;
	owner->settled(owner);
}

bool held_free_all(struct owner *owner)
{
	if (ev_is_active(&owner->give_back))
		return false;
	for (int i = 0; i < HELD_BATCH && owner->slab_count; i++)
		disown(owner, TAILQ_FIRST(&owner->slabs));
	if (owner->slab_count)
		ev_timer_start(owner->grants->loop, &owner->give_back);
	return !owner->slab_count;
}

void held_open(struct owner *owner)
{
	TAILQ_INIT(&owner->slabs);
	TAILQ_INIT(&owner->held);
	/* The timer checks the links every LINK_HELD_S, so a link may hold a
	 * freed slab for up to twice as long. */
	ev_timer_init(&owner->held_timer, check_cb, LINK_HELD_S, LINK_HELD_S);
	ev_timer_init(&owner->give_back, give_back_cb, 0., 0.);
}

void held_stop(struct owner *owner)
{
	stop_timer(owner);
	ev_timer_stop(owner->grants->loop, &owner->give_back);
}
