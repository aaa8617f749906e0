/* The "session" with the local fallback.  It begins and ends as a session with
 * a memory server does (servers/session.c), but has no connection.  The
 * fallback becomes DOWN only at the end.  Where the disk fails, requests end
 * with an error, and the session makes the links anew.
 */
#include "session.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "events.h"
#include "fallback.h"
#include "log.h"
#include "placement.h"
#include "transport/file.h"

#define TICK_NS	  NS_PER_S
#define REPAIR_NS (250 * NS_PER_MS)
/* The pause between two slots that are made ready, because requests use the
 * disk as well. */
#define PREPARE_NS (10 * NS_PER_MS)

static struct fallback *fallback_of(const struct server *server)
{
	return &server->engine->fallback;
}

static void tell_free(struct server *server)
{
	atomic_store(&server->shared.free_bytes,
		     fallback_free_bytes(fallback_of(server)));
}

static int build_links(struct server *server, struct error *why)
{
	struct lane_pool *pool = &server->engine->lanes;
	struct link_target target = { .group = &fallback_of(server)->group };

	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane *lane = &pool->lanes[i];
		struct channel *channel;
		int rc = lane_channel(pool, lane, &transport_file, &channel,
				      why);

		if (!rc)
			rc = transport_file.link_connect(
				channel, &target, 0,
				&lane->links[server->index].link, why);
		if (rc) {
			lane_links_close(pool, server->index);
			return rc;
		}
	}
	lane_links_up(pool, server->index);
	return 0;
}

static int open_local(struct server *server, struct error *why)
{
	int rc = build_links(server, why);

	if (rc)
		return rc;
	atomic_store(&server->shared.transport, &transport_file);
	atomic_store(&server->shared.total_bytes,
		     fallback_total_bytes(fallback_of(server)));
	tell_free(server);
	atomic_fetch_add(&server->shared.sessions, 1);
	server_set_state(server, SERVER_UP);
	return 0;
}

/* From RECOVERING to UP again.  Waits for the disk where it hangs: closing a
 * link waits for the system call of a transfer that was given up. */
static void recover(struct server *server)
{
	struct error why = { "" };
	int error = file_group_error(fallback_of(server)->group);

	pthread_mutex_lock(&server->lock);
	why = server->locked.recovering_error;
	pthread_mutex_unlock(&server->lock);
	log_limited(&server->session.lines, LOG_LEVEL_ERROR, "%s: %s%s%s",
		    server->text.text, why.text, error ? ": " : "",
		    error ? strerrordesc_np(error) : "");
	events_add(EVENT_SERVER_RECOVERING, server->text.text, "%s", why.text);
	session_close_links(server);
	/* A disk that failed would fail again at once. */
	session_nap(server, NULL, clock_now_ns() + REPAIR_NS);
	while (!atomic_load(&server->shared.stopping) &&
	       build_links(server, &why))
		session_nap(server, NULL, clock_now_ns() + REPAIR_NS);
	atomic_fetch_add(&server->shared.recoveries, 1);
	server_set_state(server, SERVER_UP);
	events_add(EVENT_SERVER_UP, server->text.text, "opened again");
}

/* Slots that were given back come first: there may be no other free slot.  A
 * write to such a slot may have been given up and still reach the disk.  Then
 * the fallback was RECOVERING before the slot was given back, and recover waits
 * for that write. */
static void do_work(struct server *server)
{
	struct remote_slab slot = { 0 };
	struct given_back given;
	struct slab_shard *shard;

	while (server_next_given_back(server, &given)) {
		if (server_state(server) == SERVER_RECOVERING)
			recover(server);
		slot.slab = given.slab;
		fallback_give_back(fallback_of(server), &slot);
		atomic_fetch_sub(&server->shared.slabs, 1);
	}
	tell_free(server);
	while ((shard = server_next_ask(server))) {
		bool taken = fallback_take(fallback_of(server), &slot);

		tell_free(server);
		placement_answer(server->engine, shard, taken ? &slot : NULL);
	}
}

static void *session_main(void *arg)
{
	struct server *server = arg;
	struct error why = { "" };
	int rc = open_local(server, &why);
	bool more;

	session_report_first(server, rc, &why);
	while (!rc && !atomic_load(&server->shared.stopping)) {
		if (server_state(server) == SERVER_RECOVERING)
			recover(server);
		do_work(server);
		atomic_store(&server->shared.answered_ns, clock_now_ns());
		more = fallback_prepare_one(fallback_of(server));
		session_nap(server, NULL,
			    clock_now_ns() + (more ? PREPARE_NS : TICK_NS));
	}
	if (!rc)
		session_go_down(server, "the plugin ends");
	return NULL;
}

const struct server_kind session_fallback = {
	.run = session_main,
	.last_resort = true,
};
