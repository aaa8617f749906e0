#include "session.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "placement.h"
#include "size.h"
#include "times.h"
#include "wireio.h"

/* How often a session asks whether its server is there and what it has free.
 * Each PING costs a server that has nothing else to do, as over RDMA, a wake-up
 * and three system calls.  One without room for a slab is asked more often:
 * writes fail until it is known that there is room again. */
#define PING_NS	     (3 * NS_PER_S)
#define PING_FULL_NS NS_PER_S

/* Pauses between attempts to reach a server that is down. */
#define BACKOFF_MIN_NS (250 * NS_PER_MS)
#define BACKOFF_MAX_NS (5 * NS_PER_S)
/* The longest of them while it may still hold this session. */
#define HEAL_BACKOFF_MAX_NS (2 * NS_PER_S)

/* What a session is given to say goodbye before its connection is cut. */
#define STOP_NS (2 * NS_PER_S)

bool session_nap(struct peer *peer, int fd, uint64_t deadline_ns)
{
	struct pollfd p[2] = { { .fd = peer->wake_fd, .events = POLLIN },
			       { .fd = fd, .events = POLLIN } };
	uint64_t count;

	if (poll(p, 2, clock_left_ms(deadline_ns)) <= 0)
		return false;
	if (p[0].revents)
		(void)!read(peer->wake_fd, &count, sizeof count);
	return p[1].revents;
}

/* Asks what the server has, by session_call or session_try_call. */
static int ask_figures(struct peer *peer, session_caller *call,
		       struct reason *why)
{
	struct wire_message request = { .type = WIRE_PING }, reply;
	int rc = call(peer, &request, WIRE_PONG, &reply, why);

	if (!rc) {
		atomic_store(&peer->free_bytes, reply.pong.free_bytes);
		atomic_store(&peer->total_bytes, reply.pong.total_bytes);
		peer_set_release(peer, reply.pong.release_slabs);
	}
	return rc;
}

static int fence(struct peer *peer, struct reason *why)
{
	struct wire_message request = { .type = WIRE_FENCE }, reply;

	return session_try_call(peer, &request, WIRE_FENCED, &reply, why);
}

/* Whether there is nothing to wait for any more, without a connection. */
static bool is_lost(const struct peer *peer)
{
	uint64_t wait_ns = atomic_load(&peer->grace_ms) * NS_PER_MS +
			   TIMES_GRACE_EXTRA_S * NS_PER_S;
	uint64_t timeout_ns = peer->engine->config.timeout_ns;

	/* Then only requests wait, that would be the first to use it. */
	if (atomic_load(&peer->slabs) == 0 && wait_ns > timeout_ns)
		wait_ns = timeout_ns;
	return peer->fd < 0 && clock_left_ns(peer->lost_ns + wait_ns) == 0;
}

/* One attempt. */
static int heal_once(struct peer *peer, bool *resumed, struct reason *why)
{
	bool connected = peer->fd >= 0;
	int rc = connected ? fence(peer, why) : session_resume(peer, why);

	*resumed |= !connected && !rc;
	/* What it has free was forgotten when it broke: a server that is UP
	 * and seems full would make a write fail.  Before the lanes, which
	 * nobody closes where something after them fails. */
	if (!rc)
		rc = ask_figures(peer, session_try_call, why);
	return rc ? rc : session_build_lanes(peer, why);
}

/* A lane that does not come back is tried again as long as the control
 * connection answers, and a connection for the grace time: so long the server
 * holds every page.  The requests that wait have deadlines of their own. */
int session_heal(struct peer *peer, struct reason *why)
{
	uint64_t backoff_ns = BACKOFF_MIN_NS;
	bool resumed = false, refuse;
	int rc;

	peer_break(peer, why->text);
	log_limited(&peer->lines, LOG_LEVEL_ERROR, "server %s: %s; %s",
		    peer->text.text, peer->broken_why.text,
		    peer->fd < 0 ? "connecting again" : "rebuilding its lanes");
	session_close_lanes(peer);
	for (refuse = session_may_refuse(peer);;
	     refuse = place_elsewhere(peer)) {
		if (refuse)
			session_refuse_slabs(peer);
		rc = heal_once(peer, &resumed, why);
		if (!rc)
			break;
		if (atomic_load(&peer->stopping))
			return -ECANCELED;
		if (rc == -ESTALE)
			return rc;
		peer_stays_away(peer);
		if (is_lost(peer))
			return -ETIMEDOUT;
		session_nap(peer, -1, clock_now_ns() + backoff_ns);
		backoff_ns = peer->fd < 0 ? 2 * backoff_ns : BACKOFF_MIN_NS;
		if (backoff_ns > HEAL_BACKOFF_MAX_NS)
			backoff_ns = HEAL_BACKOFF_MAX_NS;
	}
	atomic_fetch_add(&peer->recoveries, 1);
	peer_set_state(peer, PEER_UP);
	log_limited(&peer->lines, LOG_LEVEL_NOTICE,
		    "server %s: %slanes rebuilt", peer->text.text,
		    resumed ? "session resumed, " : "");
	return 0;
}

/* What there is to do now, except for the control connection's own events.
 * BROKEN first: only what comes after the fence may be put into a slab that is
 * freed and allocated anew. */
static int do_work(struct peer *peer, bool ping, struct reason *why)
{
	int rc = 0;

	if (peer->fd < 0 || peer_state(peer) == PEER_BROKEN)
		rc = session_heal(peer, why);
	if (!rc)
		rc = session_alloc_slabs(peer, why);
	if (!rc && ping)
		rc = ask_figures(peer, session_call, why);
	return rc;
}

/* The server sends RELEASE unasked.  All else that is readable now is the end
 * of the connection, or a breach of the protocol. */
static void read_unasked(struct peer *peer, struct reason *why)
{
	struct wire_message message;
	int rc =
		wire_recv(peer->fd, &message, session_call_deadline(peer), why);

	if (!rc && session_take_release(peer, &message))
		return;
	if (!rc)
		reason_set(why, "it sent %s unasked",
			   wire_type_name(message.type));
	session_drop(peer);
}

uint64_t session_ping_every_ns(const struct peer *peer)
{
	bool full = atomic_load(&peer->free_bytes) <
		    peer->engine->slabs.geometry.slab_bytes;

	return full ? PING_FULL_NS : PING_NS;
}

/* Runs an open session until it is lost (false, WHY) or to stop (true). */
static bool serve(struct peer *peer, struct reason *why)
{
	uint64_t asked_ns = clock_now_ns();

	while (!atomic_load(&peer->stopping)) {
		uint64_t ping_at_ns = asked_ns + session_ping_every_ns(peer);
		bool ping;

		if (session_nap(peer, peer->fd, ping_at_ns))
			read_unasked(peer, why);
		ping = clock_left_ns(ping_at_ns) == 0;
		if (ping)
			asked_ns = clock_now_ns();
		if (do_work(peer, ping, why))
			return atomic_load(&peer->stopping);
	}
	return true;
}

/* From UP or BROKEN to DOWN; how many pages were lost.  The links first, so
 * that whoever is in a slab comes out; DOWN last, so that requests wait for
 * this server until it is known which of its pages others have. */
int64_t session_go_down(struct peer *peer, const char *why)
{
	int64_t lost;

	peer_break(peer, why);
	session_close_lanes(peer);
	lost = session_lose_slabs(peer);
	peer_set_state(peer, PEER_DOWN);
	session_refuse_slabs(peer);
	return lost;
}

/* The session is gone, and the server's slabs with it. */
static void lose(struct peer *peer, const struct reason *why)
{
	uint32_t slabs = atomic_load(&peer->slabs);
	int64_t lost = session_go_down(peer, why->text);

	/* one that can still hear it need not wait for its grace time */
	session_bye(peer);
	atomic_fetch_add(&peer->engine->counters.pages_lost, (uint64_t)lost);
	log_error("server %s is lost: %s; %lld pages in %u slab%s are gone: "
		  "reading these ends with an I/O error",
		  peer->text.text, why->text, (long long)lost, slabs,
		  slabs == 1 ? "" : "s");
}

/* The plugin ends.  Requests that still come or wait find their pages lost. */
static void leave(struct peer *peer)
{
	session_go_down(peer, "the plugin ends");
	session_bye(peer);
}

/* Tells session_wait_first how the first attempt went. */
void session_report_first(struct peer *peer, int rc, const struct reason *why)
{
	pthread_mutex_lock(&peer->lock);
	if (!peer->first_over) {
		peer->first_over = true;
		peer->first_status = rc;
		if (rc)
			peer->first_why = *why;
		pthread_cond_broadcast(&peer->changed);
	}
	pthread_mutex_unlock(&peer->lock);
}

/* Without copies the server alone has its pages, and a request that ends before
 * the server's grace time is over fails although its page may still come back.
 */
static void warn_of_timeout(const struct peer *peer)
{
	const struct engine *engine = peer->engine;
	uint64_t timeout_s = engine->config.timeout_ns / NS_PER_S;
	uint64_t grace_s = atomic_load(&peer->grace_ms) / 1000;

	if (engine->redundancy.parts > 1 || grace_s == 0 ||
	    timeout_s >= times_least_timeout_s(grace_s))
		return;
	log_notice("server %s: timeout=%llu is too short for its --grace=%llu: "
		   "in an outage requests fail while their pages may still "
		   "come back; timeout=%llu or more fits",
		   peer->text.text, (unsigned long long)timeout_s,
		   (unsigned long long)grace_s,
		   (unsigned long long)times_least_timeout_s(grace_s));
}

/* Opens the session, or says once why it cannot be. */
static bool open_or_complain(struct peer *peer)
{
	struct reason why = { "" };
	int rc = session_open(peer, &why);

	if (!rc) {
		peer_set_state(peer, PEER_UP);
		if (atomic_fetch_add(&peer->sessions, 1) > 0)
			log_limited(&peer->lines, LOG_LEVEL_NOTICE,
				    "server %s: a new session over %s, %s free",
				    peer->text.text,
				    atomic_load(&peer->transport)->name,
				    size_format(atomic_load(&peer->free_bytes))
					    .text);
		warn_of_timeout(peer);
		peer->complained = false;
	} else if (!peer->complained && peer->first_over) {
		log_limited(&peer->lines, LOG_LEVEL_ERROR,
			    "server %s: %s; trying again", peer->text.text,
			    why.text);
		peer->complained = true;
	}
	session_report_first(peer, rc, &why);
	return !rc;
}

static void *session_main(void *arg)
{
	struct peer *peer = arg;
	uint64_t backoff_ns = BACKOFF_MIN_NS;

	while (!atomic_load(&peer->stopping)) {
		struct reason why = { "" };

		if (!open_or_complain(peer)) {
			session_nap(peer, -1, clock_now_ns() + backoff_ns);
			backoff_ns *= 2;
			if (backoff_ns > BACKOFF_MAX_NS)
				backoff_ns = BACKOFF_MAX_NS;
			continue;
		}
		backoff_ns = BACKOFF_MIN_NS;
		if (serve(peer, &why))
			leave(peer);
		else
			lose(peer, &why);
	}
	return NULL;
}

int session_start(struct peer *peer, struct reason *why)
{
	int rc = pthread_create(&peer->thread, NULL,
				peer->local ? session_local_main : session_main,
				peer);

	if (rc) {
		reason_set(why, "a session's thread: %s", strerror(rc));
		return -rc;
	}
	peer->has_thread = true;
	return 0;
}

int session_wait_first(struct peer *peer, uint64_t deadline_ns,
		       struct reason *why)
{
	struct timespec until = clock_timespec(deadline_ns);
	int rc = 0;

	pthread_mutex_lock(&peer->lock);
	while (!peer->first_over && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&peer->changed, &peer->lock,
					    &until);
	if (peer->first_over) {
		rc = peer->first_status;
		*why = peer->first_why;
	} else {
		rc = -ETIMEDOUT;
		reason_set(why, "no session until the deadline");
	}
	pthread_mutex_unlock(&peer->lock);
	return rc;
}

void session_ask_to_stop(struct peer *peer)
{
	atomic_store(&peer->stopping, true);
	peer_wake(peer);
}

void session_stop(struct peer *peer)
{
	struct timespec until;

	if (!peer->has_thread)
		return;
	session_ask_to_stop(peer);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(STOP_NS / NS_PER_S);
	if (pthread_timedjoin_np(peer->thread, NULL, &until)) {
		/* It waits for an answer: that ends here. */
		pthread_mutex_lock(&peer->lock);
		if (peer->fd >= 0)
			shutdown(peer->fd, SHUT_RDWR);
		pthread_mutex_unlock(&peer->lock);
		pthread_join(peer->thread, NULL);
	}
	peer->has_thread = false;
}
