#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "pages/crc32c.h"
#include "core.h"
#include "pages/slab.h"

int server_create(struct server *server, struct engine *engine, uint32_t index,
		  const struct server_kind *kind, const struct net_name *name,
		  struct error *why)
{
	memset(server, 0, sizeof *server);
	server->engine = engine;
	server->index = index;
	server->kind = kind;
	if (name) {
		server->name = *name;
		server->text = net_name_format(name);
	}
	atomic_init(&server->shared.in_use, name != NULL);
	atomic_init(&server->shared.wanted, name != NULL);
	server->locked.control = stream_plain(-1);
	server->session.orphan_label = SERVER_NO_LABEL;
	server->locked.asks_end = &server->locked.asks;
	server->locked.max_given_back = engine->slabs.n;
	server->locked.given_back = calloc(server->locked.max_given_back,
					   sizeof *server->locked.given_back);
	if (!server->locked.given_back) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (server->wake_fd < 0) {
		int rc = -errno;

		error_set(why, "eventfd: %s", strerror(errno));
		free(server->locked.given_back);
		return rc;
	}
	pthread_mutex_init(&server->lock, NULL);
	clock_cond_init(&server->locked.changed);
	return 0;
}

uint64_t server_memory_bytes(const struct server *server)
{
	return server->locked.max_given_back *
	       sizeof *server->locked.given_back;
}

void server_destroy(struct server *server)
{
	close(server->wake_fd);
	free(server->locked.given_back);
	pthread_cond_destroy(&server->locked.changed);
	pthread_mutex_destroy(&server->lock);
}

struct net_text server_text(struct server *server)
{
	struct net_text text;

	pthread_mutex_lock(&server->lock);
	text = server->text;
	pthread_mutex_unlock(&server->lock);
	return text;
}

const char *server_state_name(enum server_state state)
{
	switch (state) {
	case SERVER_DOWN:
		return "down";
	case SERVER_RECOVERING:
		return "recovering";
	case SERVER_UP:
		return "up";
	}
	return "unknown";
}

void server_wake(struct server *server)
{
	uint64_t one = 1;

	/* Fails only where the count is at its limit: awake anyway. */
	(void)!write(server->wake_fd, &one, sizeof one);
}

void server_set_release(struct server *server, uint32_t slabs)
{
	if (atomic_exchange(&server->shared.release_slabs, slabs) != slabs)
		wake_up(&server->engine->wake);
}

void server_set_state(struct server *server, enum server_state state)
{
	pthread_mutex_lock(&server->lock);
	if (state != SERVER_RECOVERING)
		atomic_store(&server->shared.recovering_ns, 0);
	atomic_store(&server->shared.state, state);
	pthread_cond_broadcast(&server->locked.changed);
	pthread_mutex_unlock(&server->lock);
}

void server_set_identity(struct server *server, const char *zone,
			 const uint8_t *incarnation)
{
	size_t length = strnlen(zone, sizeof server->locked.zone - 1);

	pthread_mutex_lock(&server->lock);
	memcpy(server->locked.zone, zone, length);
	server->locked.zone[length] = 0;
	memcpy(server->locked.incarnation, incarnation,
	       sizeof server->locked.incarnation);
	pthread_mutex_unlock(&server->lock);
	atomic_store(&server->shared.zone_id,
		     length ? crc32c(zone, length) | 1 : 0);
}

void server_forget_identity(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	memset(server->locked.incarnation, 0,
	       sizeof server->locked.incarnation);
	pthread_mutex_unlock(&server->lock);
}

void server_break(struct server *server, const char *why)
{
	bool mine;

	pthread_mutex_lock(&server->lock);
	mine = server_state(server) == SERVER_UP;
	if (mine) {
		atomic_store(&server->shared.may_return_ns, clock_now_ns());
		atomic_store(&server->shared.recovering_ns,
			     atomic_load(&server->shared.may_return_ns));
		atomic_store(&server->shared.state, SERVER_RECOVERING);
		error_set(&server->locked.recovering_error, "%s", why);
	}
	pthread_mutex_unlock(&server->lock);
	if (mine)
		server_wake(server);
}

bool server_is_away(const struct server *server, uint64_t ns)
{
	uint64_t since_ns = atomic_load(&server->shared.recovering_ns);

	return since_ns && clock_left_ns(since_ns + ns) == 0;
}

int server_wait(struct server *server, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	int rc = 0;

	pthread_mutex_lock(&server->lock);
	while (server_state(server) == SERVER_RECOVERING && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&server->locked.changed,
					    &server->lock, &until);
	rc = server_state(server) == SERVER_RECOVERING ? -ETIMEDOUT : 0;
	pthread_mutex_unlock(&server->lock);
	return rc;
}

void server_stays_away(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	atomic_store(&server->shared.may_return_ns, 0);
	pthread_cond_broadcast(&server->locked.changed);
	pthread_mutex_unlock(&server->lock);
}

void server_wait_return(struct server *server, uint64_t until_ns)
{
	struct timespec until = clock_timespec(until_ns);
	int rc = 0;

	pthread_mutex_lock(&server->lock);
	while (server_state(server) == SERVER_RECOVERING &&
	       atomic_load(&server->shared.may_return_ns) != 0 &&
	       rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&server->locked.changed,
					    &server->lock, &until);
	pthread_mutex_unlock(&server->lock);
}

bool server_ask_shard(struct server *server, struct slab_shard *shard)
{
	bool asked;

	pthread_mutex_lock(&server->lock);
	asked = server_state(server) != SERVER_DOWN;
	if (asked) {
		shard->next_ask = NULL;
		*server->locked.asks_end = shard;
		server->locked.asks_end = &shard->next_ask;
	}
	pthread_mutex_unlock(&server->lock);
	if (asked)
		server_wake(server);
	return asked;
}

struct slab_shard *server_next_ask(struct server *server)
{
	struct slab_shard *shard;

	pthread_mutex_lock(&server->lock);
	shard = server->locked.asks;
	if (shard) {
		server->locked.asks = shard->next_ask;
		if (!server->locked.asks)
			server->locked.asks_end = &server->locked.asks;
	}
	pthread_mutex_unlock(&server->lock);
	return shard;
}

void server_ask_again(struct server *server, struct slab_shard *shard)
{
	pthread_mutex_lock(&server->lock);
	shard->next_ask = server->locked.asks;
	if (!server->locked.asks)
		server->locked.asks_end = &shard->next_ask;
	server->locked.asks = shard;
	pthread_mutex_unlock(&server->lock);
}

void server_give_back(struct server *server, uint32_t slab, uint64_t label)
{
	pthread_mutex_lock(&server->lock);
	/* The queue has room for every slab that the server can hold: a slab
	 * has at most one shard there, and that shard is freed before it is
	 * asked for again. */
	if (server_state(server) != SERVER_DOWN &&
	    server->locked.n_given_back < server->locked.max_given_back)
		server->locked.given_back[server->locked.n_given_back++] =
			(struct given_back){ .slab = slab,
					     .label = (uint32_t)label };
	pthread_mutex_unlock(&server->lock);
	server_wake(server);
}

bool server_next_given_back(struct server *server, struct given_back *given)
{
	bool any;

	pthread_mutex_lock(&server->lock);
	any = server->locked.n_given_back > 0;
	if (any)
		*given = server->locked
				 .given_back[--server->locked.n_given_back];
	pthread_mutex_unlock(&server->lock);
	return any;
}

bool server_given_back_by_label(struct server *server, uint64_t label,
				struct given_back *given)
{
	uint64_t i = 0;
	bool found;

	pthread_mutex_lock(&server->lock);
	while (i < server->locked.n_given_back &&
	       server->locked.given_back[i].label != label)
		i++;
	found = i < server->locked.n_given_back;
	if (found) {
		*given = server->locked.given_back[i];
		server->locked.given_back[i] =
			server->locked
				.given_back[--server->locked.n_given_back];
	}
	pthread_mutex_unlock(&server->lock);
	return found;
}

void server_forget_given_back(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	server->locked.n_given_back = 0;
	server->session.orphan_label = SERVER_NO_LABEL;
	server->session.has_unsure_free = false;
	pthread_mutex_unlock(&server->lock);
}

/* --- how long its READs take --- */

static uint64_t load(const _Atomic uint64_t *value)
{
	return atomic_load_explicit(value, memory_order_relaxed);
}

static void store(_Atomic uint64_t *value, uint64_t n)
{
	atomic_store_explicit(value, n, memory_order_relaxed);
}

void server_took(struct server *server, uint64_t ns)
{
	uint64_t usual = load(&server->shared.usual_ns);
	uint64_t deviation = load(&server->shared.deviation_ns);
	uint64_t off = ns > usual ? ns - usual : usual - ns;

	if (usual == 0) {
		store(&server->shared.usual_ns, ns);
		store(&server->shared.deviation_ns, ns / 2);
		return;
	}
	store(&server->shared.deviation_ns,
	      deviation - deviation / 4 + off / 4);
	store(&server->shared.usual_ns, usual - usual / 8 + ns / 8);
}

void server_took_at_least(struct server *server, uint64_t ns)
{
	if (ns > load(&server->shared.usual_ns))
		store(&server->shared.usual_ns, ns);
}

uint64_t server_patience_ns(const struct server *server)
{
	return load(&server->shared.usual_ns) +
	       4 * load(&server->shared.deviation_ns);
}
