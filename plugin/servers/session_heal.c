#include "session.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "placement.h"
#include "times.h"

/* The longest pause between attempts to reach a server that may still hold this
 * session. */
#define HEAL_BACKOFF_MAX_NS (2 * NS_PER_S)

bool session_may_refuse(const struct server *server)
{
	const struct engine *engine = server->engine;

	if (redundancy_can_spare(&engine->redundancy))
		return true;
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		if (i != server->index &&
		    server_state(&engine->servers[i]) == SERVER_UP)
			return true;
	}
	return false;
}

void session_refuse_slabs(struct server *server)
{
	struct slab_shard *shard;

	/* 0 free bytes keep placement from asking this server again at once. */
	atomic_store(&server->shared.free_bytes, 0);
	while ((shard = server_next_ask(server)))
		placement_answer(server->engine, shard, NULL);
}

/* Asks for the server's free and total bytes, and for the slabs that it wants
 * back.  CALL is session_call or session_call_once. */
int session_ask_figures(struct server *server, session_caller *call,
			struct error *why)
{
	struct wire_message request = { .type = WIRE_PING }, reply;
	int rc = call(server, &request, WIRE_PONG, &reply, why);

	if (!rc) {
		atomic_store(&server->shared.free_bytes, reply.pong.free_bytes);
		atomic_store(&server->shared.total_bytes,
			     reply.pong.total_bytes);
		server_set_release(server, reply.pong.release_slabs);
	}
	return rc;
}

static int fence(struct server *server, struct error *why)
{
	struct wire_message request = { .type = WIRE_FENCE }, reply;

	return session_call_once(server, &request, WIRE_FENCED, &reply, why);
}

/* Whether the session is lost: there is no connection, and the time to resume
 * the session is over. */
static bool is_lost(const struct server *server)
{
	uint64_t wait_ns = atomic_load(&server->shared.grace_ms) * NS_PER_MS +
			   TIMES_GRACE_EXTRA_S * NS_PER_S;
	uint64_t timeout_ns = server->engine->config.timeout_ns;

	/* The server holds no page.  Only requests that want a first slab there
	 * wait for the server, and they fail after this time. */
	if (atomic_load(&server->shared.slabs) == 0 && wait_ns > timeout_ns)
		wait_ns = timeout_ns;
	return server->locked.control.fd < 0 &&
	       clock_left_ns(server->session.lost_ns + wait_ns) == 0;
}

/* Makes one attempt to recover the server. */
static int heal_once(struct server *server, bool *resumed, struct error *why)
{
	bool connected = server->locked.control.fd >= 0;
	int rc = connected ? fence(server, why) : session_resume(server, why);

	*resumed |= !connected && !rc;
	/* The free bytes are 0 since the server became RECOVERING.  A write
	 * would fail if the server were UP and seemed full, so the figures are
	 * asked for first.  Asking comes before the links are built, because a
	 * failure after that would leave the links open. */
	if (!rc)
		rc = session_ask_figures(server, session_call_once, why);
	if (rc)
		return rc;
	rc = session_build_links(server, why);
	/* without the control connection there would be no links either */
	if (rc && server->locked.control.fd >= 0)
		session_detour_turn(server);
	return rc;
}

/* "session resumed, connections rebuilt, over tcp instead of rdma" */
static struct error tell_rebuilt(const struct server *server, bool resumed)
{
	const struct transport_ops *own = server->session.own;
	const struct transport_ops *now =
		atomic_load(&server->shared.transport);
	struct error text;

	error_set(&text, "%sconnections rebuilt%s%s%s%s",
		  resumed ? "session resumed, " : "",
		  now == own ? "" : ", over ", now == own ? "" : now->name,
		  now == own ? "" : " instead of ",
		  now == own ? "" : own->name);
	return text;
}

/* Links that cannot be built are attempted again as long as the control
 * connection answers.  The control connection is attempted again for the grace
 * time, in which the server keeps every page.  Requests that wait have
 * deadlines of their own. */
int session_heal(struct server *server, struct error *why)
{
	uint64_t backoff_ns = SESSION_BACKOFF_NS;
	bool resumed = false, refuse;
	struct error rebuilt;
	int rc;

	server_break(server, why->text);
	log_limited(
		&server->session.lines, LOG_LEVEL_ERROR, "server %s: %s; %s",
		server->text.text, server->locked.recovering_error.text,
		server->locked.control.fd < 0 ? "connecting again"
					      : "rebuilding its connections");
	events_add(EVENT_SERVER_RECOVERING, server->text.text, "%s",
		   server->locked.recovering_error.text);
	session_close_links(server);
	for (refuse = session_may_refuse(server);;
	     refuse = placement_elsewhere(server)) {
		if (refuse)
			session_refuse_slabs(server);
		rc = heal_once(server, &resumed, why);
		if (!rc)
			break;
		if (atomic_load(&server->shared.stopping))
			return -ECANCELED;
		if (rc == -ESTALE)
			return rc;
		server_stays_away(server);
		if (is_lost(server))
			return -ETIMEDOUT;
		session_nap(server, NULL, clock_now_ns() + backoff_ns);
		backoff_ns = server->locked.control.fd < 0 ? 2 * backoff_ns
							   : SESSION_BACKOFF_NS;
		if (backoff_ns > HEAL_BACKOFF_MAX_NS)
			backoff_ns = HEAL_BACKOFF_MAX_NS;
	}
	atomic_fetch_add(&server->shared.recoveries, 1);
	server_set_state(server, SERVER_UP);
	rebuilt = tell_rebuilt(server, resumed);
	log_limited(&server->session.lines, LOG_LEVEL_NOTICE, "server %s: %s",
		    server->text.text, rebuilt.text);
	events_add(EVENT_SERVER_UP, server->text.text, "%s", rebuilt.text);
	return 0;
}

/* Whether the reply to a repeated FREE says that the server freed the slab at
 * the first FREE. */
static bool freed_before(const struct wire_message *request,
			 const struct wire_message *reply)
{
	return request->type == WIRE_FREE && reply->type == WIRE_ERROR &&
	       reply->error.code == WIRE_E_NO_SLAB;
}

int session_call(struct server *server, struct wire_message *request,
		 uint16_t reply_type, struct wire_message *reply,
		 struct error *why)
{
	bool repeated = false, garbled = false;

	for (;;) {
		int rc = session_call_once(server, request, reply_type, reply,
					   why);

		if (rc == -EREMOTEIO && repeated &&
		    freed_before(request, reply)) {
			*reply = (struct wire_message){
				.type = WIRE_FREED,
				.freed.free_bytes =
					atomic_load(&server->shared.free_bytes),
			};
			return 0;
		}
		/* Bytes that were changed on the way end the connection and not
		 * the session.  A server that answers with nonsense again does
		 * not speak the protocol. */
		if (rc == 0 || rc == -EREMOTEIO || (rc == -EPROTO && garbled))
			return rc;
		garbled |= rc == -EPROTO;
		rc = session_heal(server, why);
		if (rc)
			return rc;
		repeated = true;
	}
}
