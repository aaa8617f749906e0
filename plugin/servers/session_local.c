/* The "session" with the local fallback: the same life as one with a server
 * (session.c), without a connection.  The disk is never DOWN before the end:
 * where it fails, requests end with an error, and its links are made anew. */
#include "session.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "fallback.h"
#include "transport/file.h"
#include "log.h"
#include "placement.h"

#define TICK_NS	  NS_PER_S
#define REPAIR_NS (250 * NS_PER_MS)
/* Between two slots that are made ready: requests use the disk as well. */
#define PREPARE_NS (10 * NS_PER_MS)

static struct fallback *fallback_of(const struct peer *peer)
{
	return &peer->engine->fallback;
}

static void tell_free(struct peer *peer)
{
	atomic_store(&peer->free_bytes, fallback_free_bytes(fallback_of(peer)));
}

/* What was given back first: there may be no other free slot.  No write to one
 * is ever under way: a transfer is over when it was submitted (file.c). */
static void do_work(struct peer *peer)
{
	struct remote_slab slot = { 0 };
	struct given_back given;
	struct slab_part *part;

	while (peer_next_given_back(peer, &given)) {
		slot.slab = given.slab;
		fallback_give_back(fallback_of(peer), &slot);
		atomic_fetch_sub(&peer->slabs, 1);
	}
	tell_free(peer);
	while ((part = peer_next_ask(peer))) {
		bool taken = fallback_take(fallback_of(peer), &slot);

		tell_free(peer);
		place_answer(peer->engine, part, taken ? &slot : NULL);
	}
}

static int build_lanes(struct peer *peer, struct reason *why)
{
	struct lane_pool *pool = &peer->engine->lanes;
	struct link_target target = { .group = &fallback_of(peer)->group };

	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane *lane = &pool->lanes[i];
		struct channel *channel;
		int rc = lane_channel(pool, lane, &transport_file, &channel,
				      why);

		if (!rc)
			rc = transport_file.link_connect(
				channel, &target, 0,
				&lane->links[peer->index].link, why);
		if (rc) {
			lane_links_close(pool, peer->index);
			return rc;
		}
	}
	lane_links_up(pool, peer->index);
	return 0;
}

static int open_local(struct peer *peer, struct reason *why)
{
	int rc = build_lanes(peer, why);

	if (rc)
		return rc;
	atomic_store(&peer->transport, &transport_file);
	atomic_store(&peer->total_bytes,
		     fallback_total_bytes(fallback_of(peer)));
	tell_free(peer);
	atomic_fetch_add(&peer->sessions, 1);
	peer_set_state(peer, PEER_UP);
	return 0;
}

/* From BROKEN to UP again. */
static void recover(struct peer *peer)
{
	struct reason why = { "" };
	int error = file_group_error(fallback_of(peer)->group);

	pthread_mutex_lock(&peer->lock);
	why = peer->broken_why;
	pthread_mutex_unlock(&peer->lock);
	log_limited(&peer->lines, LOG_LEVEL_ERROR, "%s: %s%s%s",
		    peer->text.text, why.text, error ? ": " : "",
		    error ? strerrordesc_np(error) : "");
	session_close_lanes(peer);
	/* A disk that fails does so at once, and again. */
	session_nap(peer, -1, clock_now_ns() + REPAIR_NS);
	while (!atomic_load(&peer->stopping) && build_lanes(peer, &why))
		session_nap(peer, -1, clock_now_ns() + REPAIR_NS);
	atomic_fetch_add(&peer->recoveries, 1);
	peer_set_state(peer, PEER_UP);
}

void *session_local_main(void *arg)
{
	struct peer *peer = arg;
	struct reason why = { "" };
	int rc = open_local(peer, &why);
	bool more;

	session_report_first(peer, rc, &why);
	while (!rc && !atomic_load(&peer->stopping)) {
		if (peer_state(peer) == PEER_BROKEN)
			recover(peer);
		do_work(peer);
		atomic_store(&peer->answered_ns, clock_now_ns());
		more = fallback_prepare_one(fallback_of(peer));
		session_nap(peer, -1,
			    clock_now_ns() + (more ? PREPARE_NS : TICK_NS));
	}
	if (!rc)
		session_go_down(peer, "the plugin ends");
	return NULL;
}
