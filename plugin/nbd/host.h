/* What all connections of the server share.  The loop's thread. */
#ifndef RSWAP_NBD_HOST_H
#define RSWAP_NBD_HOST_H

#include "loop/loop.h"
#include "slots.h"

struct engine;

struct host {
	struct loop *loop;
	struct engine *engine;
	struct slots *slots;
	struct mapper *mapper;
	uint64_t size; /* of the device */
	/* A client enters transmission: false where it may not. */
	bool (*client_opens)(void);
	/* For each client that was let in, and has gone. */
	void (*client_closed)(void);
	/* Whether a request that has failed gets no answer, because the
	 * process is being ended by force. */
	bool (*is_forced)(void);
};

/* Has the clients that found no slot try again. */
static inline void host_retry(const struct host *host)
{
	if (host->slots->wanted)
		loop_soon(host->loop);
	host->slots->wanted = false;
}

static inline void host_put_slot(const struct host *host, struct slot *slot)
{
	slots_put(host->slots, slot);
	host_retry(host);
}

/* The client takes no more slots. */
static inline void host_forget(const struct host *host,
			       struct slots_client *client)
{
	slots_forget(host->slots, client);
	host_retry(host);
}

/* What was kept for the client is free for others. */
static inline void host_leave(const struct host *host,
			      struct slots_client *client)
{
	slots_leave(host->slots, client);
	host_retry(host);
}

#endif
