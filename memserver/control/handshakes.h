/* Whose TLS handshake goes on next.
 *
 * A step of a handshake takes the processor for some 100 us, and every host
 * that reaches the port can ask for one.  So the main loop does only a few in a
 * turn, and then serves everything else.  Connections from an address that has
 * a session wait in a queue of their own, as a client comes from there to
 * RESUME: strangers do not delay it (session/admission.h bounds both queues).
 *
 * Main loop only. */
#ifndef RSWAP_HANDSHAKES_H
#define RSWAP_HANDSHAKES_H

#include <ev.h>
#include <stdbool.h>
#include <sys/queue.h>

/* Steps of each queue in a turn of the main loop. */
#define HANDSHAKES_TURN 4

/* Embedded in the connection. */
struct handshake {
	TAILQ_ENTRY(handshake) entry; /* while `queued` */
	bool queued;
	bool known;
};

struct handshakes {
	struct ev_loop *loop;
	/* Does a step; H may be freed by it. */
	void (*step)(struct handshake *h);
	TAILQ_HEAD(handshake_list, handshake) queues[2]; /* strangers, known */
	ev_prepare turn;
	ev_idle awake; /* keeps the loop from sleeping while one waits */
};

void handshakes_init(struct handshakes *handshakes, struct ev_loop *loop,
		     void (*step)(struct handshake *h));

/* Has STEP called for H, in this turn of the loop or in a later one. */
void handshakes_queue(struct handshakes *handshakes, struct handshake *h,
		      bool known);

/* H ends.  Harmless when it is not queued. */
void handshakes_leave(struct handshakes *handshakes, struct handshake *h);

/* There is no connection any more. */
void handshakes_stop(struct handshakes *handshakes);

#endif
