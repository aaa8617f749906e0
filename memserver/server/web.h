/* The memory server's HTTP server (common/httpd.h): its metrics, for Prometheus
 * and for the page that shows them.  A thread of its own talks to the clients,
 * and the main loop writes the metrics. */
#ifndef RSWAP_WEB_H
#define RSWAP_WEB_H

#include "error.h"
#include "server.h"

/* Listens at config->metrics.  Sets server->web.  0 or a negative errno. */
int web_start(struct server *server, struct error *why);
/* Where it listens, or NULL. */
const struct net_addr *web_addr(const struct server *server);
/* Drops the clients.  The main loop need not run.  Does nothing when web_start
 * was not called. */
void web_stop(struct server *server);

#endif
