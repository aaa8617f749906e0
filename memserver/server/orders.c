#include "orders.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "drain.h"
#include "log.h"
#include "order.h"

/* Beside those of reserved.c and quotas.c. */
#define WATCH 1
/* How long etcd has to list the orders: together with the longest call of
 * registration.c, less than the lease lasts. */
#define CALL_NS (2 * NS_PER_S)

static const char *pool_name(const struct orders *orders)
{
	return orders->ask->server->config->pool.name;
}

/* --- obeying, on the main loop --- */

struct asked {
	char text[POOL_NAME_BYTES + 32];
};

static struct asked asked_by(const struct server *server)
{
	struct asked asked;

	snprintf(asked.text, sizeof asked.text, "by an order in pool %s",
		 server->config->pool.name);
	return asked;
}

static void obey_drain(struct server *server, FILE *out)
{
	(void)out;
	drain_begin(server, asked_by(server).text);
}

static void obey_serve(struct server *server, FILE *out)
{
	(void)out;
	if (!drain_end(server, asked_by(server).text))
		log_notice("pool %s: the order to serve is refused: the server "
			   "was told to end, and that cannot be undone",
			   server->config->pool.name);
}

/* --- the thread of the client of etcd --- */

/* Whether nothing is left to do. */
static bool obey(struct orders *orders, const char *value)
{
	const struct server *server = orders->ask->server;
	struct order order;
	struct error why;

	if (order_parse(value, &order, &why)) {
		log_error("pool %s: the order %s is skipped: %s",
			  pool_name(orders), orders->key, why.text);
		return true;
	}
	if (memcmp(order.incarnation, server->incarnation,
		   sizeof order.incarnation)) {
		log_notice("pool %s: the order %s is skipped: it is for "
			   "another server at this address",
			   pool_name(orders), orders->key);
		return true;
	}
	orders->obeyed = ask_main_loop(
		orders->ask,
		order.kind == ORDER_DRAIN ? obey_drain : obey_serve, NULL);
	return orders->obeyed;
}

static void begin(void *arg)
{
	(void)arg;
}

/* The prefix that is watched begins other keys too: HOST:1090 is one of
 * HOST:10909. */
static void changed(void *arg, const struct etcd_kv *kv)
{
	struct orders *orders = arg;

	if (strcmp(kv->key, orders->key) || kv->deleted ||
	    (kv->mod_revision == orders->seen_revision &&
	     kv->lease == orders->seen_lease))
		return;
	if (!obey(orders, kv->value))
		return;
	orders->seen_revision = kv->mod_revision;
	orders->seen_lease = kv->lease;
}

static const struct etcd_view_ops ops = { begin, begin, changed };

void orders_open(struct orders *orders, struct ask *ask, struct etcd *etcd,
		 const char *address)
{
	const struct config *config = ask->server->config;

	*orders = (struct orders){ .ask = ask };
	snprintf(orders->key, sizeof orders->key, "%s%s",
		 pool_orders_prefix(&config->pool).text, address);
	orders->view = (struct etcd_view){ .etcd = etcd,
					   .prefix = orders->key,
					   .ops = &ops,
					   .arg = orders,
					   .call_ns = CALL_NS,
					   .watch = WATCH };
}

/* Once, until they can be read. */
static void complain(struct orders *orders, int rc, const struct error *why)
{
	if (!complaint_is_due(&orders->complaint, rc))
		return;
	log_error("pool %s: orders cannot be read: %s", pool_name(orders),
		  why->text);
}

bool orders_step(struct orders *orders)
{
	struct error why;
	int rc;

	orders->obeyed = false;
	rc = etcd_view_step(&orders->view, clock_now_ns(), &why);
	if (etcd_view_is_current(&orders->view))
		complaint_end(&orders->complaint);
	if (rc)
		complain(orders, rc, &why);
	return orders->obeyed;
}

void orders_rest(struct orders *orders)
{
	complaint_put_off(&orders->complaint);
	etcd_view_close(&orders->view);
}
