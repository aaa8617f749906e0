#include "peer.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "slab.h"

int peer_create(struct peer *peer, struct engine *engine, uint32_t index,
		const struct net_name *name, struct reason *why)
{
	pthread_condattr_t attr;

	memset(peer, 0, sizeof *peer);
	peer->engine = engine;
	peer->index = index;
	peer->name = *name;
	peer->text = net_name_format(name);
	peer->fd = -1;
	peer->asks_end = &peer->asks;
	peer->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (peer->wake_fd < 0) {
		reason_set(why, "eventfd: %s", strerror(errno));
		return -errno;
	}
	pthread_mutex_init(&peer->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&peer->changed, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void peer_destroy(struct peer *peer)
{
	close(peer->wake_fd);
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
		peer_wake(peer);
}

void peer_set_state(struct peer *peer, enum peer_state state)
{
	pthread_mutex_lock(&peer->lock);
	atomic_store(&peer->state, state);
	pthread_cond_broadcast(&peer->changed);
	pthread_mutex_unlock(&peer->lock);
}

void peer_break(struct peer *peer, const char *why)
{
	bool mine;

	pthread_mutex_lock(&peer->lock);
	mine = peer_state(peer) == PEER_UP;
	if (mine) {
		atomic_store(&peer->state, PEER_BROKEN);
		reason_set(&peer->broken_why, "%s", why);
	}
	pthread_mutex_unlock(&peer->lock);
	if (mine)
		peer_wake(peer);
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

bool peer_ask_slab(struct peer *peer, struct slab *slab)
{
	bool asked;

	pthread_mutex_lock(&peer->lock);
	asked = peer_state(peer) != PEER_DOWN;
	if (asked) {
		slab->next_ask = NULL;
		*peer->asks_end = slab;
		peer->asks_end = &slab->next_ask;
	}
	pthread_mutex_unlock(&peer->lock);
	if (asked)
		peer_wake(peer);
	return asked;
}

struct slab *peer_next_ask(struct peer *peer)
{
	struct slab *slab;

	pthread_mutex_lock(&peer->lock);
	slab = peer->asks;
	if (slab) {
		peer->asks = slab->next_ask;
		if (!peer->asks)
			peer->asks_end = &peer->asks;
	}
	pthread_mutex_unlock(&peer->lock);
	return slab;
}
