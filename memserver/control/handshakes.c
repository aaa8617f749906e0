#include "handshakes.h"

#include "loops/container.h"

void handshakes_leave(struct handshakes *handshakes, struct handshake *h)
{
	if (!h->queued)
		return;
	h->queued = false;
	TAILQ_REMOVE(&handshakes->queues[h->known], h, entry);
}

/* Runs before the loop sleeps. */
static void turn_cb(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	struct handshakes *handshakes =
		container_of(watcher, struct handshakes, turn);

	(void)events;
	for (int known = 1; known >= 0; known--) {
		for (int i = 0; i < HANDSHAKES_TURN; i++) {
			struct handshake *h =
				TAILQ_FIRST(&handshakes->queues[known]);

			if (!h)
				break;
			handshakes_leave(handshakes, h);
			handshakes->step(h);
		}
	}
	if (TAILQ_EMPTY(&handshakes->queues[0]) &&
	    TAILQ_EMPTY(&handshakes->queues[1]))
		handshakes_stop(handshakes);
	else
		ev_idle_start(loop, &handshakes->awake);
}

static void awake_cb(struct ev_loop *loop, ev_idle *watcher, int events)
{
	(void)loop;
	(void)watcher;
	(void)events;
}

void handshakes_init(struct handshakes *handshakes, struct ev_loop *loop,
		     void (*step)(struct handshake *h))
{
	handshakes->loop = loop;
	handshakes->step = step;
	for (int known = 0; known < 2; known++)
		TAILQ_INIT(&handshakes->queues[known]);
	ev_prepare_init(&handshakes->turn, turn_cb);
	ev_idle_init(&handshakes->awake, awake_cb);
}

void handshakes_queue(struct handshakes *handshakes, struct handshake *h,
		      bool known)
{
	if (h->queued)
		return;
	h->queued = true;
	h->known = known;
	TAILQ_INSERT_TAIL(&handshakes->queues[known], h, entry);
	ev_prepare_start(handshakes->loop, &handshakes->turn);
}

void handshakes_stop(struct handshakes *handshakes)
{
	ev_prepare_stop(handshakes->loop, &handshakes->turn);
	ev_idle_stop(handshakes->loop, &handshakes->awake);
}
