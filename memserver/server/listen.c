#include "listen.h"

#include <errno.h>
#include <unistd.h>

#include "links/rdma.h"
#include "log.h"
#include "server.h"

/* A port that is free at a name's first address may be taken at the next. */
#define PORTS_TRIED 20

/* An address that this machine does not have, or whose kind it does not speak:
 * a name in a hosts file often has one more than there are. */
static bool is_absent(int err)
{
	return err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT;
}

/* With --transport=auto an address without RDMA is served over TCP. */
static int listen_rdma(struct listener *l, struct error *why)
{
	bool required = l->server->config->transport == CONFIG_RDMA;
	struct error detail;
	int err = -ENODEV;

	l->transports = required ? 0 : WIRE_TRANSPORT_TCP;
	if (!l->server->rdma)
		return 0;
	err = lane_rdma_listen(l->server->rdma, &l->addr, &l->rdma_port,
			       &detail);
	if (!err)
		l->transports |= WIRE_TRANSPORT_RDMA;
	else if (required)
		error_set(why, "--transport=rdma: %.200s", detail.text);
	else if (err != -ENODEV)
		log_error("%s; serving TCP only there", detail.text);
	return required ? err : 0;
}

/* Closes the listeners from FIRST on. */
static void close_from(struct server *server, unsigned first)
{
	while (server->listener_count > first)
		close(server->listeners[--server->listener_count].fd);
}

/* Opens all of ADDRS that are there, at the port of the first one.  0 or a
 * negative errno; with -EADDRINUSE and port 0 another try may do. */
static int open_all(struct server *server, const struct net_addrs *addrs,
		    unsigned listen, struct error *why)
{
	unsigned first = server->listener_count;
	uint16_t port = net_addr_port(&addrs->addr[0]);
	int absent = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < addrs->n; i++) {
		struct listener *l = &server->listeners[server->listener_count];
		struct net_addr addr = addrs->addr[i];
		int fd;

		net_addr_set_port(&addr, port);
		fd = net_listen(&addr, why);
		if (is_absent(fd)) {
			absent = fd;
			continue;
		}
		if (fd < 0) {
			close_from(server, first);
			return fd;
		}
		*l = (struct listener){ .server = server,
					.listen = listen,
					.fd = fd };
		net_local_addr(fd, &l->addr);
		port = net_addr_port(&l->addr);
		server->listener_count++;
	}
	return server->listener_count > first ? 0 : absent;
}

/* Where RDMA is required, the addresses that have it are enough. */
static int open_rdma_all(struct server *server, unsigned first,
			 struct error *why)
{
	unsigned kept = first;
	int err = 0;

	for (unsigned i = first; i < server->listener_count; i++) {
		struct listener *l = &server->listeners[i];

		err = listen_rdma(l, why);
		if (err && err != -ENODEV)
			return err;
		if (err)
			close(l->fd);
		else
			server->listeners[kept++] = *l;
	}
	server->listener_count = kept;
	return kept > first ? 0 : err;
}

static int listen_name(struct server *server, unsigned listen,
		       struct error *why)
{
	const struct net_name *name = &server->config->listen[listen];
	unsigned first = server->listener_count;
	struct net_addrs addrs;
	struct error detail;
	int tries = name->port ? 1 : PORTS_TRIED;
	int rc = net_resolve(name, &addrs, &detail);

	if (!rc)
		rc = -EADDRINUSE;
	while (rc == -EADDRINUSE && tries-- > 0)
		rc = open_all(server, &addrs, listen, &detail);
	if (rc < 0) {
		error_set(why, "--listen=%.80s: %.150s",
			  net_name_format(name).text, detail.text);
		return rc;
	}
	rc = open_rdma_all(server, first, why);
	if (!rc && server->listener_count - first < addrs.n)
		log_notice("--listen=%.80s: listening on %u of its %u "
			   "addresses; the others are not this machine's, or "
			   "have no RDMA",
			   net_name_format(name).text,
			   server->listener_count - first, addrs.n);
	return rc;
}

int listen_everywhere(struct server *server, struct error *why)
{
	int err = 0;

	for (unsigned i = 0; !err && i < server->config->listen_count; i++)
		err = listen_name(server, i, why);
	return err;
}
