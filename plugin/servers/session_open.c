#include "session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "wireio.h"

#define BUSY_POLL_NS	 (NS_PER_MS / 2)
#define CONNECT_SLICE_NS (2 * NS_PER_S)

/* From the TCP connection to WELCOME, with TLS where TLS is not NULL. */
static int hello(struct stream *stream, const struct tls_context *tls,
		 uint64_t deadline_ns, struct wire_welcome *welcome,
		 struct error *why)
{
	struct wire_message request, reply;
	int rc = stream_secure(stream, tls, deadline_ns, why);

	if (rc)
		return rc;
	wire_hello_fill(&request, "nbdkit-rswap");
	rc = wire_call(stream, &request, WIRE_WELCOME, &reply, deadline_ns,
		       why);
	if (!rc)
		*welcome = reply.welcome;
	return rc;
}

/* Asks all addresses in turn, because an address that answers may lack the
 * transport. */
int session_probe(const struct net_name *name,
		  const struct transport_ops *transport,
		  const struct tls_context *tls, uint64_t deadline_ns,
		  struct wire_welcome *welcome, struct error *why)
{
	struct net_addrs addrs;
	int rc = net_resolve(name, &addrs, why);

	if (rc)
		return rc;
	for (unsigned i = 0; i < addrs.n; i++) {
		uint64_t turn_ns = net_turn_deadline(deadline_ns, addrs.n - i);
		struct stream stream =
			stream_plain(net_connect(&addrs.addr[i], turn_ns, why));

		rc = stream.fd < 0 ? stream.fd
				   : hello(&stream, tls, turn_ns, welcome, why);
		stream_close(&stream);
		if (!rc && !session_can_use(welcome, transport, why))
			rc = -EPROTONOSUPPORT;
		if (!rc)
			break;
	}
	return rc;
}

/* Connects in slices of time, so that a session that has to stop does not wait
 * for a silent network. */
static int connect_slowly(struct server *server, uint64_t deadline_ns,
			  struct error *why)
{
	int fd;

	do {
		uint64_t slice_ns = clock_now_ns() + CONNECT_SLICE_NS;

		if (atomic_load(&server->shared.stopping)) {
			error_set(why, "the plugin ends");
			return -ECANCELED;
		}
		fd = net_connect(
			&server->session.addr,
			slice_ns < deadline_ns ? slice_ns : deadline_ns, why);
	} while (fd == -ETIMEDOUT && clock_left_ns(deadline_ns));
	return fd;
}

/* Connects to session.addr.  Sets locked.control, so that session_stop_all can
 * end a wait for an answer. */
static int connect_control(struct server *server, uint64_t deadline_ns,
			   struct wire_welcome *welcome, struct error *why)
{
	int fd = connect_slowly(server, deadline_ns, why), rc;

	if (fd < 0)
		return fd;
	net_tune(fd, engine_reach_ns(&server->engine->config));
	pthread_mutex_lock(&server->lock);
	server->locked.control = stream_plain(fd);
	pthread_mutex_unlock(&server->lock);
	/* session_stop_all may have read fd before fd was set */
	rc = atomic_load(&server->shared.stopping) ? -ECANCELED : 0;
	if (!rc)
		rc = hello(&server->locked.control, server->engine->config.tls,
			   deadline_ns, welcome, why);
	if (rc)
		session_close(server);
	return rc;
}

static uint32_t connections(const struct server *server,
			    const struct transport_ops *transport)
{
	return transport->connections(server->engine->lanes.n);
}

static int check_welcome(struct server *server,
			 const struct wire_welcome *welcome,
			 const struct transport_ops *transport,
			 struct error *why)
{
	const struct engine *engine = server->engine;

	if (welcome->slab_bytes != engine->slabs.geometry.slab_bytes) {
		error_set(
			why,
			"its slabs have %llu bytes, those of this device "
			"have %llu",
			(unsigned long long)welcome->slab_bytes,
			(unsigned long long)engine->slabs.geometry.slab_bytes);
		return -EINVAL;
	}
	if (welcome->max_lanes < connections(server, transport)) {
		error_set(why,
			  "the server allows %u connections, and lanes=%u "
			  "needs %u",
			  welcome->max_lanes, engine->config.lanes,
			  connections(server, transport));
		return -EINVAL;
	}
	return 0;
}

/* Notes which server it is, unless a session with that server is there already
 * under another name: the server would get two shards of a slab. */
static int identify(struct server *server, const struct wire_welcome *welcome,
		    struct error *why)
{
	static const uint8_t none[WIRE_INCARNATION_BYTES];
	struct engine *engine = server->engine;
	bool same = false;

	pthread_mutex_lock(&engine->identities);
	for (uint32_t i = 0; i < engine->n_servers && !same; i++) {
		struct server *other = &engine->servers[i];

		pthread_mutex_lock(&other->lock);
		same = other != server &&
		       !memcmp(other->locked.incarnation, welcome->incarnation,
			       sizeof none) &&
		       memcmp(other->locked.incarnation, none, sizeof none);
		if (same)
			error_set(why, "it is the same memory server as %s",
				  other->text.text);
		pthread_mutex_unlock(&other->lock);
	}
	if (!same)
		server_set_identity(server, welcome->zone,
				    welcome->incarnation);
	pthread_mutex_unlock(&engine->identities);
	return same ? -EEXIST : 0;
}

static int open_session(struct server *server,
			const struct wire_welcome *welcome,
			const struct transport_ops *transport,
			struct error *why)
{
	const struct engine_config *config = &server->engine->config;
	struct wire_message request = { .type = WIRE_OPEN }, reply;
	int rc;

	session_detour_find(server, welcome, transport);
	request.open = (struct wire_open){ .size_bytes = config->size_bytes,
					   .lanes = session_connections(server),
					   .transport = transport->wire_bit };
	/* set before OPEN is sent: a RELEASE may follow the answer */
	atomic_store(&server->shared.release_slabs, 0);
	rc = session_call_once(server, &request, WIRE_OPENED, &reply, why);
	if (rc)
		return rc;
	server->session.rdma_port = welcome->rdma_port;
	server->session.number = reply.opened.session;
	memcpy(server->session.token, reply.opened.token,
	       sizeof server->session.token);
	atomic_store(&server->shared.grace_ms, reply.opened.grace_ms);
	server->session.lost_ns = 0;
	atomic_store(&server->shared.transport, transport);
	atomic_store(&server->shared.total_bytes, welcome->total_bytes);
	atomic_store(&server->shared.free_bytes, reply.opened.free_bytes);
	return 0;
}

/* Resumes the session at session.addr. -ESTALE: the session is lost. */
static int resume_at(struct server *server, uint64_t deadline_ns,
		     struct error *why)
{
	struct wire_message request = { .type = WIRE_RESUME }, reply;
	struct wire_welcome welcome;
	int rc = connect_control(server, deadline_ns, &welcome, why);

	if (rc)
		return rc;
	if (memcmp(welcome.incarnation, server->locked.incarnation,
		   sizeof server->locked.incarnation) != 0) {
		error_set(why, "the server was restarted");
		session_close(server);
		return -ESTALE;
	}
	request.resume.session = server->session.number;
	memcpy(request.resume.token, server->session.token,
	       sizeof server->session.token);
	rc = session_call_once(server, &request, WIRE_RESUMED, &reply, why);
	if (rc) {
		session_close(server);
		return rc == -EREMOTEIO && reply.error.code == WIRE_E_NO_SESSION
			       ? -ESTALE
			       : rc;
	}
	server->session.rdma_port = welcome.rdma_port;
	memcpy(server->session.token, reply.resumed.token,
	       sizeof server->session.token);
	server->session.lost_ns = 0;
	atomic_store(&server->shared.free_bytes, reply.resumed.free_bytes);
	return 0;
}

/* Tries the address of the session first, and then the name's other addresses,
 * which may be reached where the session's address is not.
 *
 * A name may stand for several servers.  So only the session's own address can
 * tell that the session is lost: another incarnation at another address is
 * another server. */
int session_resume(struct server *server, struct error *why)
{
	const struct net_addr own = server->session.addr;
	uint64_t deadline_ns = session_call_deadline(server);
	unsigned others = 0;
	struct error ignored;
	int rc;

	for (unsigned i = 0; i < server->session.addrs.n; i++)
		others += !net_addr_equal(&server->session.addrs.addr[i], &own);
	if (server->session.own->bound_to_address)
		others = 0;
	rc = resume_at(server, net_turn_deadline(deadline_ns, others + 1), why);
	for (unsigned i = 0; i < server->session.addrs.n; i++) {
		if (!rc || rc == -ESTALE || rc == -ECANCELED || !others)
			break;
		if (net_addr_equal(&server->session.addrs.addr[i], &own))
			continue;
		server->session.addr = server->session.addrs.addr[i];
		if (!resume_at(server, net_turn_deadline(deadline_ns, others--),
			       &ignored))
			return 0;
		server->session.addr = own;
	}
	return rc;
}

static int new_token(void *server, struct wire_join *token, struct error *why)
{
	struct wire_message request = { .type = WIRE_LANE }, reply;
	int rc = session_call_once(server, &request, WIRE_TOKEN, &reply, why);

	if (rc)
		return rc;
	*token = (struct wire_join){ .session = reply.token.session,
				     .lane = reply.token.lane };
	memcpy(token->token, reply.token.token, sizeof token->token);
	return 0;
}

static int build_lane(struct server *server, uint32_t i, struct error *why)
{
	const struct transport_ops *transport =
		atomic_load(&server->shared.transport);
	struct engine *engine = server->engine;
	struct lane *lane = &engine->lanes.lanes[i];
	struct link_target target = { .addr = server->session.addr,
				      .rdma_port = server->session.rdma_port,
				      .lane = i,
				      .lanes = engine->lanes.n,
				      .timeout_ns =
					      engine_reach_ns(&engine->config),
				      .group = &server->session.links,
				      .new_token = new_token,
				      .owner = server };
	struct channel *channel;
	int rc = lane_channel(&engine->lanes, lane, transport, &channel, why);

	if (rc)
		return rc;
	return transport->link_connect(channel, &target,
				       session_call_deadline(server),
				       &lane->links[server->index].link, why);
}

/* All links of a session go the same way. */
static void describe_links(struct server *server)
{
	struct link *link =
		server->engine->lanes.lanes[0].links[server->index].link;
	struct link_path path = { .device = "" };

	if (link->ops->link_describe)
		link->ops->link_describe(link, &path);
	pthread_mutex_lock(&server->lock);
	server->locked.path = path;
	pthread_mutex_unlock(&server->lock);
}

static void tell_transport(const struct server *server)
{
	const struct engine_config *config = &server->engine->config;

	if (config->uses)
		config->uses(atomic_load(&server->shared.transport));
}

int session_build_links(struct server *server, struct error *why)
{
	struct lane_pool *pool = &server->engine->lanes;

	for (uint32_t i = 0; i < pool->n; i++) {
		int rc = atomic_load(&server->shared.stopping) ? -ECANCELED : 0;

		if (!rc)
			rc = build_lane(server, i, why);

		if (rc) {
			lane_links_close(pool, server->index);
			return rc;
		}
	}
	describe_links(server);
	tell_transport(server);
	lane_links_up(pool, server->index);
	return 0;
}

void session_close_links(struct server *server)
{
	struct lane_pool *pool = &server->engine->lanes;

	lane_links_break(pool, server->index);
	/* The wait is bounded by the requests' own deadlines.  Transfers on
	 * aborted links end at once. */
	while (lane_links_busy(pool, server->index)) {
		lane_reap(pool, false);
		clock_sleep_ns(BUSY_POLL_NS);
	}
	lane_links_close(pool, server->index);
}

/* Says BYE, so that the server does not keep the session for its grace time. */
void session_bye(struct server *server)
{
	struct wire_message bye = { .type = WIRE_BYE };
	struct error ignored;

	if (server->locked.control.fd >= 0)
		wire_send(&server->locked.control, &bye,
			  clock_now_ns() + NS_PER_S, &ignored);
	session_close(server);
}

/* Opens at session.addr with one transport: connects, opens a session, builds
 * the links.  On failure nothing is left. */
static int open_at(struct server *server, const struct transport_ops *transport,
		   uint64_t deadline_ns, bool *offered, struct error *why)
{
	struct wire_welcome welcome;
	bool offered_here;
	int rc = connect_control(server, deadline_ns, &welcome, why);

	if (rc)
		return rc;
	rc = check_welcome(server, &welcome, transport, why);
	if (!rc) {
		offered_here = session_can_use(&welcome, transport, why);
		rc = offered_here ? 0 : -EPROTONOSUPPORT;
		*offered = *offered || offered_here;
	}
	if (!rc)
		rc = identify(server, &welcome, why);
	if (!rc)
		rc = open_session(server, &welcome, transport, why);
	if (!rc)
		rc = session_detour_prepare(server, why);
	if (!rc)
		rc = session_build_links(server, why);
	if (rc) {
		session_bye(server);
		server_forget_identity(server);
	}
	return rc;
}

/* Opens with one transport, at the name's addresses in turn, because an address
 * that answers may lack the transport. */
static int open_with(struct server *server,
		     const struct transport_ops *transport, bool *offered,
		     struct error *why)
{
	uint64_t deadline_ns =
		clock_now_ns() + server->engine->config.timeout_ns;
	int rc = net_resolve(&server->name, &server->session.addrs, why);
	unsigned n = rc ? 0 : server->session.addrs.n;

	for (unsigned i = 0; i < n; i++) {
		server->session.addr = server->session.addrs.addr[i];
		rc = open_at(server, transport,
			     net_turn_deadline(deadline_ns, n - i), offered,
			     why);
		if (!rc || atomic_load(&server->shared.stopping))
			break;
	}
	return rc;
}

int session_open(struct server *server, struct error *why)
{
	const struct transport_ops *asked = server->engine->config.transport;
	int rc = -EPROTONOSUPPORT;

	for (size_t i = 0; i < WIRE_TRANSPORTS; i++) {
		bool offered = false;

		if (asked && asked != transports[i])
			continue;
		if (atomic_load(&server->shared.stopping))
			return -ECANCELED;
		rc = open_with(server, transports[i], &offered, why);
		if (!rc)
			return 0;
		/* Logged only where the server offers the transport, opening
		 * failed, and another transport is left. */
		if (offered && !asked && i + 1 < WIRE_TRANSPORTS)
			log_limited(&server->session.lines, LOG_LEVEL_NOTICE,
				    "server %s: %s: %s; trying %s",
				    server->text.text, transports[i]->name,
				    why->text, transports[i + 1]->name);
	}
	return rc;
}
