#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "pages/crc32c.h"
#include "engine.h"
#include "repair/repair.h"
#include "pages/slab.h"

int peer_create(struct peer *peer, struct engine *engine, uint32_t index,
		const struct net_name *name, struct reason *why)
{
	memset(peer, 0, sizeof *peer);
	peer->engine = engine;
	peer->index = index;
	peer->name = *name;
	peer->text = net_name_format(name);
	peer->fd = -1;
	peer->orphan_label = PEER_NO_LABEL;
	peer->asks_end = &peer->asks;
	peer->max_given_back = engine->slabs.n;
	peer->given_back =
		calloc(peer->max_given_back, sizeof *peer->given_back);
	if (!peer->given_back) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	peer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (peer->wake_fd < 0) {
		int rc = -errno;

		reason_set(why, "eventfd: %s", strerror(errno));
		free(peer->given_back);
		return rc;
	}
	pthread_mutex_init(&peer->lock, NULL);
	clock_cond_init(&peer->changed);
	return 0;
}

void peer_destroy(struct peer *peer)
{
	close(peer->wake_fd);
	free(peer->given_back);
	pthread_cond_destroy(&peer->changed);
	pthread_mutex_destroy(&peer->lock);
}

const char *peer_state_name(enum peer_state state)
{
	switch (state) {
	case PEER_DOWN:
		return "down";
	case PEER_BROKEN:
		return "recovering";
	case PEER_UP:
		return "up";
	}
	return "unknown";
}

void peer_wake(struct peer *peer)
{
	uint64_t one = 1;

	/* Fails only where the count is at its limit: awake anyway. */
	(void)!write(peer->wake_fd, &one, sizeof one);
}

void peer_set_release(struct peer *peer, uint32_t slabs)
{
	if (atomic_exchange(&peer->release_slabs, slabs) != slabs)
		keeper_poke(peer->engine);
}

void peer_set_state(struct peer *peer, enum peer_state state)
{
	pthread_mutex_lock(&peer->lock);
	if (state != PEER_BROKEN)
		atomic_store(&peer->away_ns, 0);
	atomic_store(&peer->state, state);
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

void peer_set_zone(struct peer *peer, const char *zone)
{
	size_t length = strnlen(zone, sizeof peer->zone - 1);

	pthread_mutex_lock(&peer->lock);
	memcpy(peer->zone, zone, length);
	peer->zone[length] = 0;
	pthread_mutex_unlock(&peer->lock);
	atomic_store(&peer->zone_id, length ? crc32c(zone, length) | 1 : 0);
}

void peer_break(struct peer *peer, const char *why)
{
	bool mine;

	pthread_mutex_lock(&peer->lock);
	mine = peer_state(peer) == PEER_UP;
	if (mine) {
		atomic_store(&peer->broken_ns, clock_now_ns());
		atomic_store(&peer->away_ns, atomic_load(&peer->broken_ns));
		atomic_store(&peer->state, PEER_BROKEN);
		reason_set(&peer->broken_why, "%s", why);
	}
	pthread_mutex_unlock(&peer->lock);
	if (mine)
		peer_wake(peer);
}

bool peer_is_away(const struct peer *peer, uint64_t ns)
{
	uint64_t since_ns = atomic_load(&peer->away_ns);

	return since_ns && clock_left_ns(since_ns + ns) == 0;
}

int peer_wait(struct peer *peer, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	int rc = 0;

	pthread_mutex_lock(&peer->lock);
	while (peer_state(peer) == PEER_BROKEN && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&peer->changed, &peer->lock,
					    &until);
	rc = peer_state(peer) == PEER_BROKEN ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&peer->lock);
	return rc;
}

void peer_stays_away(struct peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	atomic_store(&peer->broken_ns, 0);
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

void peer_wait_return(struct peer *peer, uint64_t until_ns)
{
	struct timespec until = clock_timespec(until_ns);
	int rc = 0;

	pthread_mutex_lock(&peer->lock);
	while (peer_state(peer) == PEER_BROKEN &&
	       atomic_load(&peer->broken_ns) != 0 && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&peer->changed, &peer->lock,
					    &until);
	pthread_mutex_unlock(&peer->lock);
}

bool peer_ask_part(struct peer *peer, struct slab_part *part)
{
	bool asked;

	pthread_mutex_lock(&peer->lock);
	asked = peer_state(peer) != PEER_DOWN;
	if (asked) {
		part->next_ask = NULL;
		*peer->asks_end = part;
		peer->asks_end = &part->next_ask;
	}
	pthread_mutex_unlock(&peer->lock);
	if (asked)
		peer_wake(peer);
	return asked;
}

struct slab_part *peer_next_ask(struct peer *peer)
{
	struct slab_part *part;

	pthread_mutex_lock(&peer->lock);
	part = peer->asks;
	if (part) {
		peer->asks = part->next_ask;
		if (!peer->asks)
			peer->asks_end = &peer->asks;
	}
	pthread_mutex_unlock(&peer->lock);
	return part;
}

void peer_ask_again(struct peer *peer, struct slab_part *part)
{
	pthread_mutex_lock(&peer->lock);
	part->next_ask = peer->asks;
	if (!peer->asks)
		peer->asks_end = &part->next_ask;
	peer->asks = part;
	pthread_mutex_unlock(&peer->lock);
}

void peer_give_back(struct peer *peer, uint32_t slab, uint64_t label)
{
	pthread_mutex_lock(&peer->lock);
	/* There is room for all that the peer can hold: a slab has one part
	 * there at most, and is freed before it is asked for again. */
	if (peer_state(peer) != PEER_DOWN &&
	    peer->n_given_back < peer->max_given_back)
		peer->given_back[peer->n_given_back++] =
			(struct given_back){ .slab = slab,
					     .label = (uint32_t)label };
	pthread_mutex_unlock(&peer->lock);
	peer_wake(peer);
}

bool peer_next_given_back(struct peer *peer, struct given_back *given)
{
	bool any;

	pthread_mutex_lock(&peer->lock);
	any = peer->n_given_back > 0;
	if (any)
		*given = peer->given_back[--peer->n_given_back];
	pthread_mutex_unlock(&peer->lock);
	return any;
}

bool peer_given_back_by_label(struct peer *peer, uint64_t label,
			      struct given_back *given)
{
	uint64_t i = 0;
	bool found;

	pthread_mutex_lock(&peer->lock);
	while (i < peer->n_given_back && peer->given_back[i].label != label)
		i++;
	found = i < peer->n_given_back;
	if (found) {
		*given = peer->given_back[i];
		peer->given_back[i] = peer->given_back[--peer->n_given_back];
	}
	pthread_mutex_unlock(&peer->lock);
	return found;
}

void peer_forget_given_back(struct peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	peer->n_given_back = 0;
	peer->orphan_label = PEER_NO_LABEL;
	peer->has_unsure_free = false;
	pthread_mutex_unlock(&peer->lock);
}

/* --- how long it takes --- */

static uint64_t load(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void store(_Atomic uint64_t *value, uint64_t n)
{
	atomic_store_explicit(value, n, memory_order_relaxed);
}

void peer_took(struct peer *peer, uint64_t ns)
{
	uint64_t usual = load(&peer->usual_ns);
	uint64_t deviation = load(&peer->deviation_ns);
	uint64_t off = ns > usual ? ns - usual : usual - ns;

	if (usual == 0) {
		store(&peer->usual_ns, ns);
		store(&peer->deviation_ns, ns / 2);
		return;
	}
	store(&peer->deviation_ns, deviation - deviation / 4 + off / 4);
	store(&peer->usual_ns, usual - usual / 8 + ns / 8);
}

void peer_took_at_least(struct peer *peer, uint64_t ns)
{
	if (ns > load(&peer->usual_ns))
		store(&peer->usual_ns, ns);
}

uint64_t peer_patience_ns(const struct peer *peer)
{
	return load(&peer->usual_ns) + 4 * load(&peer->deviation_ns);
}
