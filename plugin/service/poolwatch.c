#include "poolwatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "events.h"
#include "helper.h"
#include "join.h"
#include "log.h"
#include "poolpick.h"

/* How long etcd has at start to tell of the servers.  An election among etcd's
 * servers is over by then. */
#define FIRST_NS (10 * NS_PER_S)
/* If there is a file in its place. */
#define FIRST_SHORT_NS (3 * NS_PER_S)

/* A change of etcd's leader, or of the server that answers, is over by then. */
#define AWAY_NS (5 * NS_PER_S)

/* How long etcd has to list the servers while the thread has a reservation to
 * keep: with what is between two words to its lease, much less than the lease
 * lasts.  A list that takes longer has its time after it has failed. */
#define LIST_NS	     (3 * NS_PER_S)
#define LIST_MOST_NS (10 * NS_PER_S)

/* How long the thread has to end. */
#define STOP_S 4

/* How many more servers are chosen at start than may be used. */
#define SPARE_SERVERS 16u

static int ask_etcd(struct poolwatch *watch, struct error *why)
{
	uint64_t deadline_ns = clock_now_ns() +
			       (watch->state.path ? FIRST_SHORT_NS : FIRST_NS);

	for (;;) {
		int rc = members_step(&watch->members, deadline_ns, why);

		if (!rc || rc == -EACCES || rc == -ENOMEM ||
		    watch->members.view.again_ns >= deadline_ns)
			return rc;
	}
}

/* A start from the file alone is told: the servers may be others by now. */
static int first_list(struct poolwatch *watch, struct error *why)
{
	struct poolstate *state = &watch->state;
	struct error detail;
	int rc = ask_etcd(watch, why);

	if (!state->path)
		return rc;
	if (!rc) {
		rc = poolstate_save(state, &watch->members, &detail);
		if (rc)
			error_set(why, "pool-state=%.100s: %.100s", state->path,
				  detail.text);
		return rc;
	}
	if (poolstate_load(state, &watch->members, &detail)) {
		struct error etcd = *why;

		error_set(why, "%.70s; and pool-state=%.48s: %.48s", etcd.text,
			  state->path, detail.text);
		return rc;
	}
	log_notice("pool %s: %s; starting with the servers of pool-state=%s",
		   state->pool, why->text, state->path);
	watch->began_away = *why;
	return 0;
}

/* --- choosing --- */

static uint32_t transport_bits(const struct engine_config *engine)
{
	return engine->transport ? engine->transport->wire_bit : UINT32_MAX;
}

static bool is_configured(void *arg, const struct net_name *address)
{
	const struct engine_config *engine = arg;
	struct net_text text = net_name_format(address);

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		if (!strcmp(net_name_format(&engine->servers[i]).text,
			    text.text))
			return true;
	}
	return false;
}

static int add_servers(struct poolwatch *watch, struct engine_config *engine,
		       struct error *why)
{
	const struct poolpick pick = { .members = &watch->members,
				       .transports = transport_bits(engine),
				       .is_used = is_configured,
				       .arg = engine };
	uint32_t n = engine->servers_max - engine->n_servers + SPARE_SERVERS;
	struct net_name *servers = realloc(
		engine->servers, (engine->n_servers + n) * sizeof *servers);
	int chosen = -ENOMEM;

	if (servers) {
		engine->servers = servers;
		chosen = poolpick_choose(&pick, servers + engine->n_servers, n);
	}
	if (chosen < 0) {
		error_set(why, "out of memory");
		return chosen;
	}
	engine->n_servers += (uint32_t)chosen;
	engine->n_pooled = (uint32_t)chosen;
	if (engine->n_servers)
		return 0;
	error_set(why, "none of the %u memory servers in it is serving%s%s",
		  watch->members.n, engine->transport ? " by transport=" : "",
		  engine->transport ? engine->transport->name : "");
	return -ENOENT;
}

/* --- the thread --- */

static uint32_t count_serving(const struct members *members)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < members->n; i++)
		n += members->entries[i].is_understood &&
		     !strcmp(members->entries[i].member.state, "serving");
	return n;
}

/* Returns whether it was away before. */
static bool set_figures(struct poolwatch *watch, bool is_away,
			const char *error)
{
	struct poolwatch_figures *f = &watch->figures;
	uint32_t serving = count_serving(&watch->members);
	bool was_away;

	pthread_mutex_lock(&watch->lock);
	was_away = f->is_away;
	if (is_away != was_away || !f->since_ns)
		f->since_ns = clock_now_ns();
	f->is_away = is_away;
	f->registered = watch->members.n;
	f->serving = serving;
	f->endpoint = etcd_endpoint(watch->etcd);
	snprintf(f->error, sizeof f->error, "%s", error);
	pthread_mutex_unlock(&watch->lock);
	return was_away;
}

static void tell_current(struct poolwatch *watch)
{
	const char *name = watch->config->pool.name;

	watch->current_ns = clock_now_ns();
	poolstate_keep(&watch->state, &watch->members);
	if (!set_figures(watch, false, ""))
		return;
	log_notice("pool %s: etcd at %s tells of its servers again", name,
		   etcd_endpoint(watch->etcd).text);
	events_add(EVENT_POOL_BACK, name, "by etcd at %s",
		   etcd_endpoint(watch->etcd).text);
}

static void tell_away(struct poolwatch *watch, const struct error *why)
{
	const char *name = watch->config->pool.name;

	if (clock_left_ns(watch->current_ns + AWAY_NS) ||
	    set_figures(watch, true, why->text))
		return;
	log_error("pool %s: %s; trying again, and going on with the servers "
		  "that are known",
		  name, why->text);
	events_add(EVENT_POOL_AWAY, name, "%s", why->text);
}

/* A start from the file was told when it was made. */
static void begin_figures(struct poolwatch *watch)
{
	const char *error = watch->began_away.text;

	watch->current_ns = clock_now_ns();
	set_figures(watch, *error, error);
	if (*error)
		events_add(EVENT_POOL_AWAY, watch->figures.name, "%s", error);
}

/* How often the thread looks for an engine. */
#define NO_ENGINE_NS (1 * NS_PER_S)

/* Returns when to call it again, at the latest. */
static uint64_t step(struct poolwatch *watch)
{
	struct engine *engine = atomic_load(&watch->engine);
	uint64_t reserve_ns = poolreserve_step(&watch->reserve, engine);
	uint64_t follow_ns = clock_now_ns() + NO_ENGINE_NS;

	watch->follow.engine = engine;
	/* The engine is stopped soon after. */
	if (engine && !atomic_load(&watch->stopping))
		follow_ns = poolfollow_step(&watch->follow);
	return reserve_ns < follow_ns ? reserve_ns : follow_ns;
}

static void *poolwatch_main(void *arg)
{
	struct poolwatch *watch = arg;

	while (!atomic_load(&watch->stopping)) {
		struct error why = { "etcd does not tell of changes" };
		uint64_t until_ns = step(watch);
		int rc = members_step(&watch->members, until_ns, &why);

		if (atomic_load(&watch->stopping))
			break;
		if (!rc && etcd_view_is_current(&watch->members.view))
			tell_current(watch);
		else
			tell_away(watch, &why);
	}
	return NULL;
}

/* --- life --- */

int poolwatch_open(struct poolwatch *watch, struct config *config,
		   struct error *why)
{
	struct error detail;
	int rc;

	if (!config->given[KEY_POOL])
		return 0;
	rc = etcd_open(&watch->etcd, &config->pool.etcd, &detail);
	if (!rc) {
		watch->config = config;
		pthread_mutex_init(&watch->lock, NULL);
		snprintf(watch->figures.name, sizeof watch->figures.name, "%s",
			 config->pool.name);
		watch->state = (struct poolstate){ .path = config->pool_state,
						   .pool = config->pool.name };
		members_open(&watch->members, watch->etcd, &config->pool);
		rc = first_list(watch, &detail);
	}
	if (!rc)
		rc = add_servers(watch, &config->engine, &detail);
	if (rc)
		error_set(why, "pool=%.80s: %.168s", config->pool_url,
			  detail.text);
	return rc;
}

int poolwatch_reserve(struct poolwatch *watch, uint64_t slab_bytes,
		      struct error *why)
{
	if (!watch->config)
		return 0;
	return poolreserve_take(&watch->reserve, watch->config, watch->etcd,
				&watch->members, slab_bytes, why);
}

int poolwatch_start(struct poolwatch *watch, struct error *why)
{
	int rc;

	if (!watch->config)
		return 0;
	rc = poolreserve_confirm(&watch->reserve, why);
	if (rc)
		return rc;
	watch->follow = (struct poolfollow){ .members = &watch->members,
					     .ledger = &watch->reserve.ledger,
					     .pool = watch->figures.name };
	if (watch->reserve.config) {
		watch->members.view.call_ns = LIST_NS;
		watch->members.view.call_most_ns = LIST_MOST_NS;
	}
	begin_figures(watch);
	rc = etcd_start(watch->etcd, why);
	if (rc)
		return rc;
	rc = helper_start(&watch->thread, "pool", poolwatch_main, watch);
	if (rc)
		error_set(why, "the pool's thread: %s", strerror(rc));
	watch->has_thread = !rc;
	return -rc;
}

void poolwatch_follow(struct poolwatch *watch, struct engine *engine)
{
	if (!watch->config)
		return;
	atomic_store(&watch->engine, engine);
	etcd_wake(watch->etcd);
}

bool poolwatch_stop(struct poolwatch *watch)
{
	if (!watch->has_thread)
		return true;
	atomic_store(&watch->stopping, true);
	etcd_cancel(watch->etcd);
	/* It may wait for the disk of pool-state=, and then ends with the
	 * process. */
	watch->has_thread =
		!join_until(watch->thread, clock_now_ns() + STOP_S * NS_PER_S);
	return !watch->has_thread;
}

void poolwatch_leave(struct poolwatch *watch)
{
	if (watch->config && !watch->has_thread)
		poolreserve_leave(&watch->reserve);
}

void poolwatch_close(struct poolwatch *watch)
{
	if (!watch->config || watch->has_thread)
		return;
	poolreserve_close(&watch->reserve);
	members_close(&watch->members);
	etcd_close(watch->etcd);
	pthread_mutex_destroy(&watch->lock);
	watch->config = NULL;
}

bool poolwatch_get_figures(struct poolwatch *watch,
			   struct poolwatch_figures *figures)
{
	if (!watch->config)
		return false;
	pthread_mutex_lock(&watch->lock);
	*figures = watch->figures;
	pthread_mutex_unlock(&watch->lock);
	figures->etcd = etcd_figures(watch->etcd);
	poolreserve_get_figures(&watch->reserve, &figures->reserve);
	return true;
}
