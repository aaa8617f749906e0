#include "poolreserve.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "engine.h"
#include "events.h"
#include "log.h"
#include "poolparts.h"
#include "size.h"

/* As a memory server's own lease.  Four words fit, and the longest call. */
#define LEASE_S	      9
#define KEEP_ALIVE_NS (2250 * NS_PER_MS)
#define CALL_NS	      (5 * NS_PER_S)

/* How long it may take at start, besides the first list of servers. */
#define FIRST_NS (10 * NS_PER_S)
/* How long to wait where there is no room for it any more. */
#define NO_ROOM_NS (10 * NS_PER_S)
#define LEAVE_NS   (3 * NS_PER_S)

static uint64_t soon_ns(void)
{
	return clock_now_ns() + CALL_NS;
}

static const char *pool_name(const struct poolreserve *reserve)
{
	return reserve->config->pool.name;
}

/* --- what is wanted --- */

int poolreserve_want(struct ledger *ledger, const struct config *config,
		     uint64_t slab_bytes, struct error *why)
{
	uint64_t slabs = engine_count_slabs(&config->engine, slab_bytes);
	uint64_t all = slabs * redundancy_shards(&config->engine.redundancy);

	ledger->slab_bytes = slab_bytes;
	ledger->most_each = slabs;
	ledger->slabs = all;
	if (config->pool_reserve_bytes == CONFIG_RESERVE_ALL)
		return 0;
	ledger->slabs =
		(config->pool_reserve_bytes + slab_bytes - 1) / slab_bytes;
	if (ledger->slabs <= all)
		return 0;
	error_set(why,
		  "the device takes %s on servers at most: allowed is no more, "
		  "or all",
		  size_format(all * slab_bytes).text);
	return -EINVAL;
}

static void set_who(struct poolreserve *reserve)
{
	struct reservation *who = &reserve->ledger.who;
	const char *identity =
		reserve->config->tls
			? tls_context_identity(reserve->config->tls)
			: "-";

	snprintf(who->identity, sizeof who->identity, "%s", identity);
	/* For people only. */
	if (gethostname(who->machine, sizeof who->machine - 1) ||
	    !wire_name_ok(who->machine))
		who->machine[0] = '\0';
}

/* --- how it stands --- */

static void set_figures(struct poolreserve *reserve, const char *error)
{
	struct poolreserve_figures *f = &reserve->figures;

	pthread_mutex_lock(&reserve->lock);
	f->wanted_bytes = reserve->ledger.slabs * reserve->ledger.slab_bytes;
	f->held_bytes = reserve->state == POOLRESERVE_LOST
				? 0
				: ledger_bytes(&reserve->ledger);
	snprintf(f->error, sizeof f->error, "%s", error);
	pthread_mutex_unlock(&reserve->lock);
}

static struct size_text wanted_text(const struct poolreserve *reserve)
{
	return size_format(reserve->ledger.slabs * reserve->ledger.slab_bytes);
}

/* Once for each loss. */
static void tell_lost(struct poolreserve *reserve, const struct error *why)
{
	bool was_lost = reserve->state == POOLRESERVE_LOST;

	reserve->state = POOLRESERVE_LOST;
	set_figures(reserve, why->text);
	if (was_lost)
		return;
	log_error("pool %s: the reservation of %s is lost: %s; trying to "
		  "reserve again, and serving meanwhile",
		  pool_name(reserve), wanted_text(reserve).text, why->text);
	events_add(EVENT_RESERVATION_LOST, pool_name(reserve), "%s", why->text);
}

static void tell_short(struct poolreserve *reserve, const struct error *why)
{
	bool was_held = reserve->state == POOLRESERVE_HELD;

	reserve->state = POOLRESERVE_SHORT;
	set_figures(reserve, why->text);
	if (!was_held)
		return;
	log_error("pool %s: of the reservation of %s, %s are left, as servers "
		  "drain or are not used any more: %s; trying again, and "
		  "serving meanwhile",
		  pool_name(reserve), wanted_text(reserve).text,
		  size_format(ledger_bytes(&reserve->ledger)).text, why->text);
	events_add(EVENT_RESERVATION_LOST, pool_name(reserve), "%s", why->text);
}

static unsigned count_parts(const struct ledger *ledger)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ledger->n; i++)
		n += ledger->servers[i].slabs != 0;
	return n;
}

static void tell_held(struct poolreserve *reserve)
{
	bool is_anew = reserve->state != POOLRESERVE_HELD;
	unsigned n = count_parts(&reserve->ledger);

	reserve->state = POOLRESERVE_HELD;
	set_figures(reserve, "");
	if (!is_anew)
		return;
	log_notice("pool %s: %s are reserved again on %u servers",
		   pool_name(reserve), wanted_text(reserve).text, n);
	events_add(EVENT_RESERVATION_BACK, pool_name(reserve),
		   "%s on %u servers", wanted_text(reserve).text, n);
}

static void tell_moved(struct poolreserve *reserve, uint64_t slabs)
{
	struct size_text text = size_format(slabs * reserve->ledger.slab_bytes);

	log_notice(
		"pool %s: %s of the reservation moved away from servers that "
		"drain or are not used any more",
		pool_name(reserve), text.text);
	events_add(EVENT_RESERVATION_MOVED, pool_name(reserve), "%s",
		   text.text);
}

/* --- lease and reservation --- */

/* Keeps the lease that there is. */
static int keep(struct poolreserve *reserve, struct error *why)
{
	struct ledger *ledger = &reserve->ledger;
	uint64_t now_ns = clock_now_ns();
	int rc = etcd_keep_alive(ledger->etcd, ledger->lease, soon_ns(), why);

	if (rc == -ENOENT)
		ledger->lease = 0;
	if (!rc)
		reserve->kept_ns = now_ns;
	return rc;
}

/* Reserves with a new lease. */
static int reserve_anew(struct poolreserve *reserve, uint64_t deadline_ns,
			struct error *why)
{
	struct ledger *ledger = &reserve->ledger;
	uint64_t now_ns = clock_now_ns();
	struct error ignored;
	int rc = etcd_grant(ledger->etcd, LEASE_S, soon_ns(), &ledger->lease,
			    why);

	if (rc)
		return rc;
	rc = ledger_reserve(ledger, deadline_ns, why);
	if (!rc) {
		reserve->kept_ns = now_ns;
		return 0;
	}
	/* A lease stands for a reservation; and what was not answered may have
	 * been done. */
	etcd_revoke(ledger->etcd, ledger->lease, soon_ns(), &ignored);
	ledger->lease = 0;
	return rc;
}

/* Whether another attempt may help at once. */
static bool is_passing(int rc)
{
	return rc == -EIO || rc == -ETIMEDOUT || rc == -EPROTO || rc == -ENOENT;
}

static int reserve_first(struct poolreserve *reserve, struct error *why)
{
	uint64_t deadline_ns = clock_now_ns() + FIRST_NS;

	for (unsigned failures = 1;; failures++) {
		struct etcd *etcd = reserve->ledger.etcd;
		int rc = reserve_anew(reserve, deadline_ns, why);
		uint64_t again_ns = clock_now_ns() + etcd_backoff_ns(failures);

		if (!is_passing(rc) || again_ns >= deadline_ns)
			return rc;
		etcd_rest(etcd, again_ns);
	}
}

/* --- at start --- */

static const char *asked_text(const struct config *config,
			      struct size_text *text)
{
	if (config->pool_reserve_bytes == CONFIG_RESERVE_ALL)
		return "all";
	*text = size_format(config->pool_reserve_bytes);
	return text->text;
}

void poolreserve_refuse(const struct config *config, const struct error *detail,
			struct error *why)
{
	struct size_text text;

	error_set(why, "pool-reserve=%s: %.220s", asked_text(config, &text),
		  detail->text);
}

static int refuse(struct poolreserve *reserve, int rc,
		  const struct error *detail, struct error *why)
{
	poolreserve_leave(reserve);
	poolreserve_refuse(reserve->config, detail, why);
	return rc;
}

int poolreserve_take(struct poolreserve *reserve, const struct config *config,
		     struct etcd *etcd, struct members *members,
		     uint64_t slab_bytes, struct error *why)
{
	struct error detail;
	int rc;

	if (!config->pool_reserve_bytes)
		return 0;
	poolreserve_close(reserve);
	memset(reserve, 0, sizeof *reserve);
	reserve->config = config;
	reserve->members = members;
	reserve->ledger.etcd = etcd;
	reserve->ledger.pool = &config->pool;
	pthread_mutex_init(&reserve->lock, NULL);
	reservation_id_draw(reserve->ledger.id);
	set_who(reserve);
	poolparts_begin(&reserve->ledger, members, &config->engine);
	rc = poolreserve_want(&reserve->ledger, config, slab_bytes, &detail);
	if (!rc)
		rc = reserve_first(reserve, &detail);
	if (rc)
		return refuse(reserve, rc, &detail, why);
	tell_held(reserve);
	return 0;
}

int poolreserve_confirm(struct poolreserve *reserve, struct error *why)
{
	struct error detail;
	int rc;

	if (!reserve->config)
		return 0;
	rc = keep(reserve, &detail);
	if (rc == -ENOENT)
		rc = reserve_first(reserve, &detail);
	/* etcd may be away for a moment: the thread will see. */
	if (is_passing(rc) &&
	    clock_now_ns() - reserve->kept_ns < LEASE_S * NS_PER_S)
		rc = 0;
	if (rc)
		return refuse(reserve, rc, &detail, why);
	reserve->again_ns = reserve->kept_ns + KEEP_ALIVE_NS;
	return 0;
}

/* --- the thread --- */

/* Takes the reservation that is lost. */
static int take_again(struct poolreserve *reserve, const struct engine *engine,
		      struct error *why)
{
	int rc;

	poolparts_look_again(&reserve->ledger, reserve->members, engine);
	rc = reserve_anew(reserve, soon_ns(), why);
	if (rc)
		return rc;
	reserve->move_failures = 0;
	tell_held(reserve);
	return 0;
}

/* It is tried again, and the lease is kept alive meanwhile. */
static void put_off_move(struct poolreserve *reserve, int rc,
			 const struct error *why)
{
	uint64_t wait_ns = NO_ROOM_NS;

	if (is_passing(rc))
		wait_ns = etcd_backoff_ns(++reserve->move_failures);
	else
		tell_short(reserve, why);
	reserve->move_ns = clock_now_ns() + wait_ns;
}

/* Moves a part of SLABS that is misplaced.  Where the other servers have no
 * room for it, it stays where it is: the server may come back. */
static int move(struct poolreserve *reserve, const struct engine *engine,
		uint64_t slabs, struct error *why)
{
	int rc;

	poolparts_look_again(&reserve->ledger, reserve->members, engine);
	rc = ledger_reserve(&reserve->ledger, soon_ns(), why);
	if (rc == -ENOENT)
		reserve->ledger.lease = 0;
	if (rc == -ENOENT || rc == -ECANCELED)
		return rc;
	if (rc) {
		put_off_move(reserve, rc, why);
		return 0;
	}
	reserve->move_failures = 0;
	if (slabs)
		tell_moved(reserve, slabs);
	tell_held(reserve);
	return 0;
}

static int follow(struct poolreserve *reserve, const struct engine *engine,
		  struct error *why)
{
	struct ledger *ledger = &reserve->ledger;
	uint64_t slabs = 0;

	if (engine)
		slabs = poolparts_misplaced(ledger, reserve->members, engine);
	if (slabs || ledger->is_unsure)
		return clock_left_ns(reserve->move_ns)
			       ? 0
			       : move(reserve, engine, slabs, why);
	/* A server whose part was to move may have come back. */
	reserve->move_failures = 0;
	poolparts_look_again(ledger, reserve->members, engine);
	tell_held(reserve);
	return 0;
}

static bool may_have_ended(const struct poolreserve *reserve)
{
	return !reserve->ledger.lease ||
	       !clock_left_ns(reserve->kept_ns + LEASE_S * NS_PER_S);
}

static uint64_t later_ns(struct poolreserve *reserve, int rc)
{
	uint64_t keep_ns = reserve->kept_ns + KEEP_ALIVE_NS;

	if (!rc) {
		reserve->failures = 0;
		return reserve->move_failures && reserve->move_ns < keep_ns
			       ? reserve->move_ns
			       : keep_ns;
	}
	if (is_passing(rc))
		return clock_now_ns() + etcd_backoff_ns(++reserve->failures);
	return clock_now_ns() + NO_ROOM_NS;
}

uint64_t poolreserve_step(struct poolreserve *reserve,
			  const struct engine *engine)
{
	struct error why;
	int rc;

	if (!reserve->config)
		return UINT64_MAX;
	if (clock_left_ns(reserve->again_ns))
		return reserve->again_ns;
	rc = reserve->ledger.lease ? keep(reserve, &why) : -ENOENT;
	if (rc == -ENOENT)
		rc = take_again(reserve, engine, &why);
	else if (!rc)
		rc = follow(reserve, engine, &why);
	if (rc && rc != -ECANCELED && may_have_ended(reserve))
		tell_lost(reserve, &why);
	reserve->again_ns = later_ns(reserve, rc);
	return reserve->again_ns;
}

/* --- the end --- */

void poolreserve_leave(struct poolreserve *reserve)
{
	struct ledger *ledger = &reserve->ledger;
	struct error why;

	if (!reserve->config || !ledger->lease)
		return;
	etcd_renew(ledger->etcd);
	if (etcd_revoke(ledger->etcd, ledger->lease, clock_now_ns() + LEAVE_NS,
			&why))
		log_notice("pool %s: cannot give the reservation back (%s): it "
			   "ends in %d seconds",
			   pool_name(reserve), why.text, LEASE_S);
	ledger->lease = 0;
}

void poolreserve_close(struct poolreserve *reserve)
{
	if (reserve->config)
		pthread_mutex_destroy(&reserve->lock);
	reserve->config = NULL;
}

bool poolreserve_get_figures(struct poolreserve *reserve,
			     struct poolreserve_figures *figures)
{
	if (!reserve->config)
		return false;
	pthread_mutex_lock(&reserve->lock);
	*figures = reserve->figures;
	pthread_mutex_unlock(&reserve->lock);
	return true;
}
