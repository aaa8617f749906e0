#include "held.h"

#include "clock.h"
#include "server/server.h"

static void stop_timer(struct session *session)
{
	ev_timer_stop(session->server->loop, &session->held_timer);
}

/* Each lane knows by itself whether it holds one. */
static void look_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct session *session =
		container_of(watcher, struct session, held_timer);

	(void)loop;
	(void)events;
	for (uint32_t i = 0; i < SESSION_MAX_LANES; i++) {
		struct lane_slot *slot = &session->slots[i];

		if (slot->state == SLOT_JOINED && slot->lane->drop_freed)
			slot->lane->drop_freed(slot->lane);
	}
}

static void unheld(struct slab *slab)
{
	struct session *session = slab->freed_by;

	list_remove(&slab->owned);
	slab->freed_by = NULL;
	if (--session->held_count == 0)
		stop_timer(session);
	session_settle(session);
}

void held_init(struct session *session)
{
	list_init(&session->held);
	ev_timer_init(&session->held_timer, look_cb, HELD_S, HELD_S);
}

void held_disown(struct session *session, struct slab *slab)
{
	slab->unheld = unheld;
	slab->freed_by = session;
	if (!slab_disown(slab))
		return;
	list_append(&session->held, &slab->owned);
	if (session->held_count++)
		return;
	ev_now_update(session->server->loop);
	ev_timer_again(session->server->loop, &session->held_timer);
}

void held_stop(struct session *session)
{
	stop_timer(session);
}
