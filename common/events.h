/* What changed and when, kept in memory: for "events" on the control socket.
 *
 * The last EVENTS_MAX events are kept.  An event like one of the latest joins
 * it, and is counted there.  So a server that comes and goes does not push out
 * what came before.
 *
 * Threads: any thread may call these functions, except those that serve
 * requests.  The ring has a lock, which is a leaf, and readers may be ordinary
 * threads that wait for a processor.  Nothing is allocated. */
#ifndef RSWAP_EVENTS_H
#define RSWAP_EVENTS_H

#include <stdint.h>
#include <stdio.h>

#define EVENTS_MAX 256

enum event_kind {
	/* both */
	EVENT_STARTED,
	EVENT_ASKED_TO_END,
	/* the plugin's: of a server */
	EVENT_SERVER_UP,
	EVENT_SERVER_RECOVERING,
	EVENT_SERVER_LOST,
	EVENT_SERVER_AWAY,   /* for repair-after */
	EVENT_SERVER_JOINED, /* from the pool */
	EVENT_SERVER_LEFT,   /* and is not used any more */
	EVENT_SLABS_ASKED_BACK,
	EVENT_SLABS_KEPT,	/* it asks for none any more */
	EVENT_POOL_BACK,	/* after POOL_AWAY */
	EVENT_RESERVATION_LOST, /* of memory in the pool */
	EVENT_RESERVATION_BACK,
	EVENT_RESERVATION_MOVED,
	/* the plugin's: of the device */
	EVENT_REPAIR_BEGUN,
	EVENT_REPAIR_DONE,
	EVENT_SCRUB_BEGUN,
	EVENT_SCRUB_DONE,
	EVENT_SCRUB_STOPPED,
	EVENT_NO_ROOM,
	EVENT_PAGES_LOST,
	EVENT_WRONG_BYTES,
	/* the memory server's */
	EVENT_DRAIN,
	EVENT_SERVING, /* again */
	EVENT_PRESSURE,
	EVENT_PRESSURE_OVER,
	EVENT_SESSION_OPENED,
	EVENT_SESSION_DISCONNECTED,
	EVENT_SESSION_RESUMED,
	EVENT_SESSION_ENDED,
	EVENT_POOL_JOINED, /* it is registered */
	EVENT_POOL_AWAY,   /* it is not any more, or cannot be; the plugin's:
			    * etcd does not answer */
	EVENT_KINDS
};

/* Notes an event: of whom ("": of the whole), and one line about it, both of
 * which are cut. */
__attribute__((format(printf, 3, 4))) void
events_add(enum event_kind kind, const char *subject, const char *format, ...);

/* Writes all that are kept as one JSON object, and a newline: the answer to
 * "events".  rswapctl(8) explains the members. */
void events_write(FILE *out);

/* The largest answer. */
#define EVENTS_BYTES (256u * 1024)

#endif
