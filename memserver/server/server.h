/* What the parts of the daemon share: one struct, made by main.c. */
#ifndef RSWAP_SERVER_H
#define RSWAP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "session/admission.h"
#include "config.h"
#include "loops/data_loop.h"
#include "list.h"
#include "loops/mail.h"
#include "net.h"
#include "slabs/slab.h"
#include "wire.h"
#include "loops/work.h"

struct lane_rdma;
struct status;

#define LISTENERS_MAX (CONFIG_LISTEN_MAX * NET_ADDRS_MAX)

/* An address; a name in --listen has several. */
struct listener {
	struct server *server;
	unsigned listen;      /* which of config->listen */
	struct net_addr addr; /* with the port that is in use */
	int fd;
	ev_io io;
	ev_timer pause;	     /* while there are no file descriptors */
	uint32_t transports; /* WIRE_TRANSPORT_ bits of its sessions */
	uint16_t rdma_port;
};

/* Main loop only, but for what has its own rules. */
struct server {
	const struct config *config;
	struct ev_loop *loop;
	uint64_t start_ns;
	uint8_t incarnation[WIRE_INCARNATION_BYTES];

	struct mailbox box;    /* to the main loop */
	struct workq preparer; /* slabs */
	struct workq teardown; /* queue pairs */
	struct slab_pool pool;
	struct data_loops data;
	struct lane_rdma *rdma; /* NULL without */
	struct status *status;	/* NULL without */

	struct listener listeners[LISTENERS_MAX];
	unsigned listener_count;

	struct list controls;
	struct admission admission; /* of those without a session */
	struct list sessions;	    /* those that are ending as well */
	unsigned session_count;
	struct list waiting; /* session.turn: who gets the next slab */
	bool granting;	     /* one is being prepared for a session */
	uint64_t lanes_left; /* TCP lanes that no session has asked for */
	int reserve_fd;	     /* to be closed where there are no others */
	uint32_t last_key;
	bool stopping;

	int drain;    /* enum release_drain */
	bool pressed; /* by memory pressure */
	uint64_t next_ask_ns;
	ev_timer pressure_timer;

	uint64_t refused; /* connections turned away */
	uint64_t errors;  /* of peers and of this machine */
	ev_signal on_term;
	ev_signal on_int;
	ev_timer stop_limit;
	ev_prepare empty_check; /* while RELEASE_LEAVING */
	ev_timer tell_timer;
	uint32_t told_slabs;
};

/* All for the main thread. */

/* Opens every listening address of the configuration, RDMA where it is asked
 * for and possible.  0 or a negative errno with WHY; server_unlisten in either
 * case. */
int server_listen(struct server *server, struct error *why);
void server_unlisten(struct server *server);

/* "tcp, rdma" and so on; of WIRE_TRANSPORT_ bits. */
const char *server_transports_text(uint32_t transports);

/* From here on SIGTERM and SIGINT end server_run, even one yet to begin: once
 * no session holds a slab any more, or at the second of them. */
void server_catch_signals(struct server *server);

/* Serves until a signal ends it, then ends all sessions.  True when all ended
 * in time, so that everything may be freed. */
bool server_run(struct server *server);

/* A session is gone for good: the last one ends a server that is stopping. */
void server_session_gone(struct server *server);

#endif
