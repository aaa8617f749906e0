/* The listening addresses: opening them, and accepting connections.  Main
 * loop. */
#ifndef RSWAP_MEMSERVER_LISTENER_H
#define RSWAP_MEMSERVER_LISTENER_H

#include "control/control.h"
#include "settings.h"

#define LISTENERS_MAX (CONFIG_LISTEN_MAX * NET_ADDRS_MAX)

struct listeners;

/* One address.  A name in --listen may have several. */
struct listener {
	struct listeners *listeners;
	unsigned listen;      /* which of config->listen */
	struct net_addr addr; /* with the port that is in use */
	int fd;
	ev_io io;
	ev_timer pause; /* while there are no file descriptors */
	struct link_offer offer;
};

struct listeners {
	struct controls *controls; /* gets the connections */
	struct links *links;
	struct ev_loop *loop;
	int reserve_fd; /* closed to accept when there is no other */
	unsigned count;
	struct listener at[LISTENERS_MAX];
};

/* Opens the transports, and every listening address of CONFIG, and accepts
 * connections.  0 or a negative errno with WHY; call listeners_close in either
 * case. */
int listeners_open(struct listeners *listeners, const struct config *config,
		   struct error *why);

/* Accepts no connection any more. */
void listeners_stop(struct listeners *listeners);

/* Closes the transports too.  No session is left. */
void listeners_close(struct listeners *listeners);

#endif
