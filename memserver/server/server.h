/* The memory server: its parts, its main loop, its signals and its end.  All
 * for the main thread. */
#ifndef RSWAP_SERVER_H
#define RSWAP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "control/control.h"
#include "listener.h"
#include "loops/mail.h"
#include "loops/work.h"
#include "settings.h"
#include "slabs/slab.h"

struct status;
struct web;
struct registration;

/* Main loop only, except where a part has rules of its own. */
struct server {
	const struct config *config;
	struct ev_loop *loop;
	uint64_t start_ns;
	uint8_t incarnation[WIRE_INCARNATION_BYTES];

	/* From the bottom up: each part uses those before it. */
	struct mailbox box;    /* to the main loop */
	struct workq preparer; /* slabs */
	struct workq teardown; /* queue pairs */
	struct slab_pool pool;
	struct links links;
	struct tenants tenants;
	struct grants grants;
	struct sessions sessions;
	struct controls controls;
	struct listeners listeners;
	struct status *status;		   /* NULL: no --control */
	struct web *web;		   /* NULL: no --metrics */
	struct registration *registration; /* NULL: no --pool */

	uint64_t next_ask_ns; /* pressure.c: when to ask clients again */
	ev_timer pressure_timer;

	ev_signal on_term;
	ev_signal on_int;
	ev_signal on_hup; /* with --psk-file */
	ev_timer stop_limit;
	ev_prepare empty_check; /* while RELEASE_LEAVING */
	ev_timer tell_timer;
	uint32_t told_slabs;
};

/* Connects the parts with each other.  The configuration, the loop, the box and
 * the pool are there. */
void server_connect_parts(struct server *server);

/* From here on SIGHUP has the keys read again, and SIGTERM and SIGINT end
 * server_run, even before server_run
 * begins: when no session holds a slab any more, or at the second signal. */
void server_catch_signals(struct server *server);

/* Serves until a signal ends it, then ends all sessions.  True when all ended
 * in time, so that everything may be freed. */
bool server_run(struct server *server);

#endif
