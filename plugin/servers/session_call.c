#include "session.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "wireio.h"

/* A server that hangs must not hold this thread for as long as a request may
 * take: it is better asked over a new connection. */
#define CALL_MIN_NS NS_PER_S

uint64_t session_call_deadline(const struct peer *peer)
{
	uint64_t call_ns = engine_answer_ns(&peer->engine->config);

	return clock_now_ns() + (call_ns > CALL_MIN_NS ? call_ns : CALL_MIN_NS);
}

void session_close(struct peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	pthread_mutex_unlock(&peer->lock);
}

void session_drop(struct peer *peer)
{
	session_close(peer);
	if (!peer->lost_ns)
		peer->lost_ns = clock_now_ns();
}

bool session_take_release(struct peer *peer, const struct wire_message *m)
{
	const char *reason = m->release.reason == WIRE_RELEASE_DRAIN
				     ? "it is to be emptied"
				     : "it is short of memory";

	if (m->type != WIRE_RELEASE)
		return false;
	if (m->release.slabs == WIRE_RELEASE_ALL)
		log_limited(&peer->lines, LOG_LEVEL_NOTICE,
			    "server %s asks for all its slabs back: %s",
			    peer->text.text, reason);
	else if (m->release.slabs)
		log_limited(&peer->lines, LOG_LEVEL_NOTICE,
			    "server %s asks for %u slabs back: %s",
			    peer->text.text, m->release.slabs, reason);
	else
		log_limited(&peer->lines, LOG_LEVEL_NOTICE,
			    "server %s asks for no slabs any more",
			    peer->text.text);
	peer_set_release(peer, m->release.slabs);
	return true;
}

int session_try_call(struct peer *peer, struct wire_message *request,
		     uint16_t reply_type, struct wire_message *reply,
		     struct reason *why)
{
	uint64_t deadline_ns = session_call_deadline(peer);
	int rc = -ENOTCONN;

	request->cookie = ++peer->next_cookie;
	if (peer->fd >= 0)
		rc = wire_send(peer->fd, request, deadline_ns, why);
	else
		reason_set(why, "there is no connection");
	if (!rc) {
		do {
			rc = wire_recv(peer->fd, reply, deadline_ns, why);
		} while (!rc && session_take_release(peer, reply));
	}
	if (!rc)
		rc = wire_check_reply(request, reply_type, reply, why);
	if (!rc || rc == -EREMOTEIO) /* refused: also an answer */
		atomic_store(&peer->answered_ns, clock_now_ns());
	/* Its stream may hold half a message, or the answer to this one. */
	if (rc && rc != -EREMOTEIO)
		session_drop(peer);
	return rc;
}

/* A FREE that was carried out before its answer got lost. */
static bool freed_before(const struct wire_message *request,
			 const struct wire_message *reply)
{
	return request->type == WIRE_FREE && reply->type == WIRE_ERROR &&
	       reply->error.code == WIRE_E_NO_SLAB;
}

int session_call(struct peer *peer, struct wire_message *request,
		 uint16_t reply_type, struct wire_message *reply,
		 struct reason *why)
{
	bool repeated = false;

	for (;;) {
		int rc =
			session_try_call(peer, request, reply_type, reply, why);

		if (rc == -EREMOTEIO && repeated &&
		    freed_before(request, reply)) {
			*reply = (struct wire_message){
				.type = WIRE_FREED,
				.freed.free_bytes =
					atomic_load(&peer->free_bytes),
			};
			return 0;
		}
		if (rc == 0 || rc == -EREMOTEIO || rc == -EPROTO)
			return rc;
		rc = session_heal(peer, why);
		if (rc)
			return rc;
		repeated = true;
	}
}
