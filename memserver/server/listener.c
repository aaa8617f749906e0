#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "accept.h"
#include "links/transports.h"
#include "log.h"

/* A port that is free at a name's first address may be in use at the next. */
#define PORT_ATTEMPTS 20

/* This machine does not have the address, or not its protocol.  A name in a
 * hosts file often has more addresses than the machine. */
static bool is_absent(int err)
{
	return err == -EADDRNOTAVAIL || err == -EAFNOSUPPORT;
}

/* Closes the listeners from FIRST on. */
static void close_from(struct listeners *listeners, unsigned first)
{
	while (listeners->count > first)
		close(listeners->at[--listeners->count].fd);
}

/* Opens each of ADDRS that this machine has, at the port of the first.  0 or a
 * negative errno; -EADDRINUSE with port 0: another attempt may succeed. */
static int open_all(struct listeners *listeners, const struct net_addrs *addrs,
		    unsigned listen, struct error *why)
{
	unsigned first = listeners->count;
	uint16_t port = net_addr_port(&addrs->addr[0]);
	int absent = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < addrs->n; i++) {
		struct listener *l = &listeners->at[listeners->count];
		struct net_addr addr = addrs->addr[i];
		int fd;

		net_addr_set_port(&addr, port);
		fd = net_listen(&addr, why);
		if (is_absent(fd)) {
			absent = fd;
			continue;
		}
		if (fd < 0) {
			close_from(listeners, first);
			return fd;
		}
		*l = (struct listener){ .listeners = listeners,
					.listen = listen,
					.fd = fd };
		net_local_addr(fd, &l->addr);
		port = net_addr_port(&l->addr);
		listeners->count++;
	}
	return listeners->count > first ? 0 : absent;
}

/* Offers the transports at each address from FIRST on.  If only one transport
 * is served, an address without a device of that transport is closed. */
static int offer_transports(struct listeners *listeners,
			    const struct link_ops *only, unsigned first,
			    struct error *why)
{
	unsigned kept = first;
	int err = 0;

	for (unsigned i = first; i < listeners->count; i++) {
		struct listener *l = &listeners->at[i];

		err = transports_listen(listeners->links, only, &l->addr,
					&l->offer, why);
		if (err && err != -ENODEV)
			return err;
		if (err)
			close(l->fd);
		else
			listeners->at[kept++] = *l;
	}
	listeners->count = kept;
	return kept > first ? 0 : err;
}

/* Memory for every host of a network is for those only that ask for it. */
static int check_reach(const struct config *config,
		       const struct net_addrs *addrs, struct error *why)
{
	if (config->psk_file || config->allow_unauthenticated)
		return 0;
	for (unsigned i = 0; i < addrs->n; i++) {
		if (net_addr_is_loopback(&addrs->addr[i]))
			continue;
		error_set(why,
			  "other machines reach it, so clients need keys: "
			  "--psk-file=FILE (rswapctl genkey NAME makes a key), "
			  "or --allow-unauthenticated");
		return -EPERM;
	}
	return 0;
}

static int listen_name(struct listeners *listeners, const struct config *config,
		       unsigned listen, struct error *why)
{
	const struct net_name *name = &config->listen[listen];
	unsigned first = listeners->count;
	struct net_addrs addrs;
	struct error detail;
	int attempts = name->port ? 1 : PORT_ATTEMPTS;
	int rc = net_resolve(name, &addrs, &detail);

	if (!rc)
		rc = check_reach(config, &addrs, &detail);
	if (!rc)
		rc = -EADDRINUSE;
	while (rc == -EADDRINUSE && attempts-- > 0)
		rc = open_all(listeners, &addrs, listen, &detail);
	if (rc < 0) {
		error_set(why, "--listen=%.80s: %.150s",
			  net_name_format(name).text, detail.text);
		return rc;
	}
	rc = offer_transports(listeners, config->only, first, why);
	if (!rc && listeners->count - first < addrs.n)
		log_notice("--listen=%.80s: listening on %u of its %u "
			   "addresses; the others do not belong to this "
			   "machine, or have no RDMA device",
			   net_name_format(name).text, listeners->count - first,
			   addrs.n);
	return rc;
}

/* Closes each transport that no address offers. */
static void close_idle_transports(struct listeners *listeners)
{
	uint32_t offered = 0;

	for (unsigned i = 0; i < listeners->count; i++)
		offered |= listeners->at[i].offer.transports;
	transports_close(listeners->links, offered);
}

int listeners_open(struct listeners *listeners, const struct config *config,
		   struct error *why)
{
	int err = transports_open(listeners->links, config->only, why);

	listeners->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; !err && i < config->listen_count; i++)
		err = listen_name(listeners, config, i, why);
	if (err)
		return err;
	close_idle_transports(listeners);
	for (unsigned i = 0; i < listeners->count; i++)
		accept_start(&listeners->at[i]);
	return 0;
}

void listeners_stop(struct listeners *listeners)
{
	for (unsigned i = 0; i < listeners->count; i++)
		accept_stop(&listeners->at[i]);
}

void listeners_close(struct listeners *listeners)
{
	listeners_stop(listeners);
	if (listeners->reserve_fd >= 0)
		close(listeners->reserve_fd);
	listeners->reserve_fd = -1;
	transports_close(listeners->links, 0);
	listeners->count = 0;
}
