/* The plugin's HTTP server (common/httpd.h): its metrics, for Prometheus and
 * for the page that shows them. */
#ifndef RSWAP_WEB_H
#define RSWAP_WEB_H

#include <stdint.h>

#include "engine.h"
#include "error.h"
#include "httpd.h"
#include "poolwatch.h"
#include "safety.h"

struct web {
	struct httpd_socket socket;
	struct httpd *httpd; /* NULL: not started */
	const struct engine *engine;
	struct poolwatch *pool;
	const struct safety *safety;
	uint64_t start_time_ns; /* of CLOCK_REALTIME */
};

/* Listens at NAME.  A client that connects waits until web_start.  0 or a
 * negative errno. */
int web_listen(struct web *web, const struct net_name *name, struct error *why);
/* The memory that web_start takes, at most, with N_SERVERS servers. */
uint64_t web_memory_bytes(uint32_t n_servers);
/* Starts the thread that answers.  After web_listen.  ENGINE, POOL and
 * SAFETY must outlive WEB.  0 or a negative errno. */
int web_start(struct web *web, const struct engine *engine,
	      struct poolwatch *pool, const struct safety *safety,
	      struct error *why);
/* Ends the thread, if it was started, and closes the socket, if it was made. */
void web_stop(struct web *web);

#endif
