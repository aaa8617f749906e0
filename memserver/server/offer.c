#include "offer.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "member.h"
#include "session/lookup.h"
#include "session/release.h"

/* --- the address --- */

static bool is_any(const struct net_addr *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->storage;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	return sa->sa_family == AF_INET
		       ? v4->sin_addr.s_addr == htonl(INADDR_ANY)
		       : IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr);
}

/* What clients connect to: as --pool-address says, else the first address of
 * --listen. */
static bool choose_address(struct offer *offer, const struct server *server,
			   struct error *why)
{
	const struct config *config = server->config;
	const struct listener *first = &server->listeners.at[0];
	struct error ignored;

	offer->address = config->pool_address;
	if (*offer->address.host) {
		if (!offer->address.port)
			offer->address.port = net_addr_port(&first->addr);
		return true;
	}
	if (is_any(&first->addr)) {
		error_set(why,
			  "--pool: --listen=%.60s is no address that clients "
			  "can use: --pool-address=HOST[:PORT] gives one",
			  net_name_format(&config->listen[0]).text);
		return false;
	}
	return net_name_parse(net_addr_format(&first->addr).text, 0,
			      &offer->address, &ignored);
}

/* --- the processors --- */

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The part of the machine's processors that the server took since the last
 * time. */
static uint32_t load_permille(struct offer *offer)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t now_ns = clock_now_ns(), used_ns = cpu_ns();
	uint64_t room_ns =
		(now_ns - offer->cpu_at_ns) * (uint64_t)(cpus > 0 ? cpus : 1);
	uint64_t permille =
		room_ns ? (used_ns - offer->cpu_ns) * 1000 / room_ns : 0;

	offer->cpu_ns = used_ns;
	offer->cpu_at_ns = now_ns;
	return permille < 1000 ? (uint32_t)permille : 1000;
}

/* --- the value --- */

int offer_open(struct offer *offer, const struct server *server,
	       struct error *why)
{
	*offer = (struct offer){ .cpu_ns = cpu_ns(),
				 .cpu_at_ns = clock_now_ns() };
	return choose_address(offer, server, why) ? 0 : -EINVAL;
}

void offer_write(struct offer *offer, struct server *server, FILE *out)
{
	struct slab_figures slabs = slab_pool_figures(&server->pool);
	bool grants = server->sessions.drain == RELEASE_SERVING &&
		      !server->sessions.pressed;
	uint64_t held_bytes =
		server->tenants.reserved * server->pool.slab_bytes;
	struct member m = {
		.address = offer->address,
		.transports = server->links.open,
		.slab_bytes = server->pool.slab_bytes,
		.memory_bytes = server->config->memory_bytes,
		.free_bytes = grants && slabs.free_bytes > held_bytes
				      ? slabs.free_bytes - held_bytes
				      : 0,
		.unreserved_bytes = tenants_unreserved_bytes(&server->tenants),
		.held_slabs = release_held(&server->sessions).slabs,
		.sessions = server->sessions.count,
		.load_permille = load_permille(offer),
	};

	memcpy(m.zone, server->config->zone, sizeof m.zone);
	memcpy(m.incarnation, server->incarnation, sizeof m.incarnation);
	snprintf(m.state, sizeof m.state, "%s",
		 release_state_name(&server->sessions));
	snprintf(m.version, sizeof m.version, "%s", RSWAP_VERSION);
	member_write(&m, out);
}
