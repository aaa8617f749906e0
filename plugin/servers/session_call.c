#include "session.h"

#include <errno.h>
#include <string.h>
#include <poll.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "wireio.h"

/* A server that hangs must not hold this thread for as long as a request may
 * take: a new connection may get an answer. */
#define CALL_MIN_NS NS_PER_S

bool session_nap(struct server *server, const struct stream *stream,
		 uint64_t deadline_ns)
{
	struct pollfd p[2] = { { .fd = server->wake_fd, .events = POLLIN },
			       { .fd = stream ? stream->fd : -1,
				 .events = POLLIN } };
	uint64_t count;

	/* A record of TLS may have held two messages. */
	if (stream && stream_pending(stream))
		return true;
	if (poll(p, 2, clock_left_ms(deadline_ns)) <= 0)
		return false;
	if (p[0].revents)
		(void)!read(server->wake_fd, &count, sizeof count);
	return p[1].revents;
}

uint64_t session_call_deadline(const struct server *server)
{
	uint64_t call_ns = engine_answer_ns(&server->engine->config);

	return clock_now_ns() + (call_ns > CALL_MIN_NS ? call_ns : CALL_MIN_NS);
}

void session_close(struct server *server)
{
	struct stream control;

	/* Requests wait for this lock.  To free what TLS has waits for the
	 * allocator's, which a thread without real-time priority may have. */
	pthread_mutex_lock(&server->lock);
	control = server->locked.control;
	server->locked.control = stream_plain(-1);
	pthread_mutex_unlock(&server->lock);
	stream_close(&control);
}

void session_drop(struct server *server)
{
	session_close(server);
	if (!server->session.lost_ns)
		server->session.lost_ns = clock_now_ns();
}

bool session_take_release(struct server *server, const struct wire_message *m)
{
	const char *error = m->release.error == WIRE_RELEASE_DRAIN
				    ? "the server is draining"
				    : "its machine is short of memory";

	if (m->type != WIRE_RELEASE)
		return false;
	if (m->release.slabs == WIRE_RELEASE_ALL)
		log_limited(&server->session.lines, LOG_LEVEL_NOTICE,
			    "server %s asks for all its slabs back: %s",
			    server->text.text, error);
	else if (m->release.slabs)
		log_limited(&server->session.lines, LOG_LEVEL_NOTICE,
			    "server %s asks for %u slabs back: %s",
			    server->text.text, m->release.slabs, error);
	else
		log_limited(&server->session.lines, LOG_LEVEL_NOTICE,
			    "server %s asks for no slabs any more",
			    server->text.text);
	if (m->release.slabs == WIRE_RELEASE_ALL)
		events_add(EVENT_SLABS_ASKED_BACK, server->text.text,
			   "all slabs: %s", error);
	else if (m->release.slabs)
		events_add(EVENT_SLABS_ASKED_BACK, server->text.text,
			   "%u slabs: %s", m->release.slabs, error);
	else
		events_add(EVENT_SLABS_KEPT, server->text.text,
			   "asks for no slabs any more");
	server_set_release(server, m->release.slabs);
	return true;
}

/* A server that goes on asking for slabs has no more time for that. */
static int receive_reply(struct server *server, struct wire_message *reply,
			 uint64_t deadline_ns, struct error *why)
{
	int rc;

	for (;;) {
		rc = wire_recv(&server->locked.control, reply, deadline_ns,
			       why);
		if (rc || !session_take_release(server, reply))
			return rc;
		if (clock_left_ns(deadline_ns))
			continue;
		error_set(why, "waiting for a message: %s",
			  strerror(ETIMEDOUT));
		return -ETIMEDOUT;
	}
}

int session_call_once(struct server *server, struct wire_message *request,
		      uint16_t reply_type, struct wire_message *reply,
		      struct error *why)
{
	uint64_t deadline_ns = session_call_deadline(server);
	int rc = -ENOTCONN;

	request->cookie = ++server->session.next_cookie;
	if (server->locked.control.fd >= 0)
		rc = wire_send(&server->locked.control, request, deadline_ns,
			       why);
	else
		error_set(why, "there is no connection");
	if (!rc)
		rc = receive_reply(server, reply, deadline_ns, why);
	if (!rc)
		rc = wire_check_reply(request, reply_type, reply, why);
	/* No server refuses a PING that arrived as it was sent. */
	if (rc == -EREMOTEIO && request->type == WIRE_PING)
		rc = -EPROTO;
	if (!rc || rc == -EREMOTEIO) /* refused: also an answer */
		atomic_store(&server->shared.answered_ns, clock_now_ns());
	/* The connection is closed, because its stream may hold half a message,
	 * or the late answer to this request. */
	if (rc && rc != -EREMOTEIO)
		session_drop(server);
	return rc;
}
