#include "registration.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ask.h"
#include "clock.h"
#include "etcd/etcd.h"
#include "events.h"
#include "helper.h"
#include "join.h"
#include "log.h"
#include "loops/container.h"
#include "member.h"
#include "offer.h"
#include "orders.h"
#include "quotas.h"
#include "reserved.h"
#include "session/release.h"

/* The key is gone so long after the server's last word, and half a second or
 * so, in which etcd notices: the loss of a server is to be known within ten
 * seconds.  Four words fit, and the longest call. */
#define LEASE_S	      9
#define KEEP_ALIVE_NS (2250 * NS_PER_MS)
/* How long all servers of etcd have to answer a call. */
#define CALL_NS (5 * NS_PER_S)
/* After such a list of what it follows the lease has its turn. */
#define SLOW_CALL_NS (NS_PER_S / 2)

/* A change of state is written at once, but not more often than that. */
#define NOTICE_NS (1 * NS_PER_S)

/* How long the server's end waits for the key to go. */
#define LEAVE_NS (3 * NS_PER_S)
#define STOP_S	 4

#define KEY_BYTES (sizeof(struct pool_prefix) + 128)

struct registration {
	struct server *server;
	struct etcd *etcd;
	struct ask ask;
	pthread_t thread;
	bool has_thread;
	atomic_bool stopping, noticed;
	char *last_value; /* of the key; before stopping is set.  NULL: none */

	/* The main loop's. */
	ev_prepare drained_check;
	bool is_drained;

	/* The thread's. */
	struct offer offer;
	char key[KEY_BYTES];
	uint64_t lease;	    /* 0: none */
	uint64_t kept_ns;   /* when it was last known to live */
	char *value;	    /* that the key has with this lease; NULL: none */
	uint64_t put_ns;    /* when it was put */
	uint64_t looked_ns; /* and when there was another to put, or not */
	/* Failures in a row: of the lease's calls, and of putting the key,
	 * which is not tried again before again_ns. */
	unsigned lease_failures, put_failures;
	uint64_t again_ns;
	bool complained;
	struct orders orders;
	struct quotas quotas;	  /* what they may reserve */
	struct reserved reserved; /* what clients have reserved here */

	/* `lock` protects this, and is a leaf. */
	pthread_mutex_t lock;
	struct registration_figures figures;
};

/* --- on the main loop, while the thread waits --- */

static void fill_in(struct server *server, FILE *out)
{
	offer_write(&server->registration->offer, server, out);
}

static void hold_back(struct server *server, FILE *out)
{
	(void)out;
	reserved_apply(&server->registration->reserved, &server->tenants);
}

/* Somebody may wait for the end of a drain.  Runs before the loop sleeps, after
 * every event that may give a slab back. */
static void drained_cb(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	struct registration *r =
		container_of(watcher, struct registration, drained_check);
	const struct sessions *sessions = &r->server->sessions;
	bool is_drained = sessions->drain != RELEASE_SERVING &&
			  !release_held(sessions).sessions;

	(void)loop;
	(void)events;
	if (is_drained && !r->is_drained)
		registration_notice(r->server);
	r->is_drained = is_drained;
}

/* --- the thread: how it stands --- */

static void set_figures(struct registration *r, bool is_registered,
			const char *error)
{
	struct registration_figures *f = &r->figures;

	pthread_mutex_lock(&r->lock);
	if (f->is_registered != is_registered || !f->since_ns)
		f->since_ns = clock_now_ns();
	f->is_registered = is_registered;
	f->endpoint = etcd_endpoint(r->etcd);
	snprintf(f->error, sizeof f->error, "%s", error);
	pthread_mutex_unlock(&r->lock);
}

static const char *pool_name(const struct registration *r)
{
	return r->server->config->pool.name;
}

/* Once for each time without a key. */
static void complain(struct registration *r, const struct error *why)
{
	/* etcd keeps the key until the lease ends. */
	bool has_key =
		r->value && clock_now_ns() - r->kept_ns < LEASE_S * NS_PER_S;

	set_figures(r, has_key, why->text);
	if (has_key || r->complained)
		return;
	r->complained = true;
	log_error("pool %s: %s; trying again, and serving clients meanwhile",
		  pool_name(r), why->text);
	events_add(EVENT_POOL_AWAY, pool_name(r), "%s", why->text);
}

static void tell_registered(struct registration *r)
{
	bool was_registered = r->figures.is_registered;

	set_figures(r, true, "");
	r->complained = false;
	if (was_registered)
		return;
	log_notice("pool %s: registered as %s, by etcd at %s", pool_name(r),
		   r->figures.address, etcd_endpoint(r->etcd).text);
	events_add(EVENT_POOL_JOINED, pool_name(r), "as %s",
		   r->figures.address);
}

/* Another server had the key.  It may be what this server was before it was
 * started again. */
static void tell_other(struct registration *r, const struct etcd_kv *kv)
{
	struct member other;
	struct error why;

	if (!member_parse(r->figures.address, kv->value, &other, &why) &&
	    !memcmp(other.incarnation, r->server->incarnation,
		    sizeof other.incarnation))
		return;
	if (r->value)
		log_error("pool %s: another server registers as %s too: each "
			  "needs an address of its own (--pool-address)",
			  pool_name(r), r->figures.address);
	else
		log_notice("pool %s: an earlier server was registered as %s, "
			   "and is replaced",
			   pool_name(r), r->figures.address);
}

/* --- the thread: what is reserved --- */

/* False if memory is short. */
static bool ask_to_hold_back(void *arg)
{
	struct registration *r = arg;

	return ask_main_loop(&r->ask, hold_back, NULL);
}

static void hand_over(struct registration *r)
{
	reserved_hand_over(&r->reserved, ask_to_hold_back, r);
}

/* --- the thread: lease and key --- */

static uint64_t soon_ns(void)
{
	return clock_now_ns() + CALL_NS;
}

static void forget_lease(struct registration *r)
{
	r->lease = 0;
	free(r->value);
	r->value = NULL;
}

/* A lease that lives. */
static int keep_lease(struct registration *r, struct error *why)
{
	uint64_t now_ns = clock_now_ns();
	int rc = 0;

	if (r->lease && now_ns - r->kept_ns < KEEP_ALIVE_NS)
		return 0;
	if (r->lease) {
		rc = etcd_keep_alive(r->etcd, r->lease, soon_ns(), why);
		if (rc == -ENOENT)
			forget_lease(r);
		else if (rc)
			return rc;
	}
	if (!r->lease)
		rc = etcd_grant(r->etcd, LEASE_S, soon_ns(), &r->lease, why);
	if (!rc)
		r->kept_ns = now_ns;
	return rc;
}

static uint64_t later(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns > b_ns ? a_ns : b_ns;
}

/* When to look whether there is something else to put. */
static uint64_t look_ns(struct registration *r)
{
	if (!r->value)
		return r->again_ns;
	return later(r->again_ns, r->looked_ns + (atomic_load(&r->noticed)
							  ? NOTICE_NS
							  : MEMBER_CHANGED_NS));
}

static char *ask_value(struct registration *r, struct error *why)
{
	char *value = NULL;
	size_t bytes;
	FILE *out = open_memstream(&value, &bytes);

	if (out) {
		atomic_store(&r->noticed, false);
		if (!ask_main_loop(&r->ask, fill_in, out))
			bytes = 0;
		if (fclose(out) == 0 && bytes)
			return value;
		free(value);
	}
	error_set(why, "the server is stopping or out of memory");
	return NULL;
}

/* Puts the key also over one of another lease, and says whose that was. */
static int put_over(struct registration *r, const char *value,
		    struct error *why)
{
	struct etcd_answer there;
	int rc = etcd_put_if(r->etcd, r->key, r->value ? r->lease : 0, r->key,
			     value, r->lease, soon_ns(), &there, why);

	if (!rc && !there.succeeded) {
		if (there.n)
			tell_other(r, &there.kvs[0]);
		rc = etcd_put(r->etcd, r->key, value, r->lease, soon_ns(), why);
	}
	etcd_answer_free(&there);
	return rc;
}

static int put(struct registration *r, const char *value, struct error *why)
{
	char *copy = strdup(value);
	int rc = put_over(r, value, why);

	if (rc || !copy) {
		free(copy);
		if (rc == -ENOENT)
			forget_lease(r);
		return rc;
	}
	free(r->value);
	r->value = copy;
	r->put_ns = clock_now_ns();
	pthread_mutex_lock(&r->lock);
	r->figures.writes++;
	pthread_mutex_unlock(&r->lock);
	return 0;
}

static bool is_as_put(struct registration *r, const char *value)
{
	return r->value && !strcmp(r->value, value) &&
	       clock_now_ns() - r->put_ns < MEMBER_UNCHANGED_NS;
}

static int refresh(struct registration *r, struct error *why)
{
	char *value = ask_value(r, why);
	int rc = -ENOMEM;

	if (value && is_as_put(r, value))
		rc = 0;
	else if (value)
		rc = put(r, value, why);
	if (!rc)
		r->looked_ns = clock_now_ns();
	else
		atomic_store(&r->noticed, true);
	free(value);
	return rc;
}

/* Before clients find the server.  Whether this fails is told later. */
static void hold_back_first(struct registration *r)
{
	struct error ignored;

	if (r->value || r->reserved.view.listed)
		return;
	quotas_step(&r->quotas);
	reserved_step(&r->reserved, clock_now_ns(), &ignored);
	hand_over(r);
}

/* Puts the key if it is time to.  etcd may refuse writes, and nothing else: the
 * lease, without which the key would be gone, is kept alive meanwhile, and what
 * etcd tells is followed. */
static void put_if_due(struct registration *r)
{
	struct error why;
	int rc;

	if (clock_left_ns(look_ns(r)))
		return;
	rc = refresh(r, &why);
	if (atomic_load(&r->stopping) || rc == -ECANCELED)
		return;
	if (!rc) {
		r->put_failures = 0;
		return;
	}
	r->put_failures++;
	r->again_ns = clock_now_ns() + etcd_backoff_ns(r->put_failures);
	complain(r, &why);
}

static int step(struct registration *r, struct error *why)
{
	int rc = keep_lease(r, why);

	if (rc)
		return rc;
	r->lease_failures = 0;
	hold_back_first(r);
	put_if_due(r);
	return 0;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* When there is something to do again. */
static uint64_t next_ns(struct registration *r)
{
	uint64_t keep_ns = r->kept_ns + KEEP_ALIVE_NS;

	return earlier(keep_ns, look_ns(r));
}

static void leave(struct registration *r)
{
	uint64_t deadline_ns = clock_now_ns() + LEAVE_NS;
	struct error why;

	if (!r->lease)
		return;
	etcd_renew(r->etcd);
	if (r->value && r->last_value)
		etcd_put(r->etcd, r->key, r->last_value, r->lease, deadline_ns,
			 &why);
	if (etcd_revoke(r->etcd, r->lease, deadline_ns, &why))
		log_notice("pool %s: cannot take the key back (%s): it is gone "
			   "in %d seconds",
			   pool_name(r), why.text, LEASE_S);
	set_figures(r, false, "the server is stopping");
}

/* --- the thread: all of it --- */

/* A watch that is open could end the pause again and again. */
static void rest(struct registration *r)
{
	r->lease_failures++;
	orders_rest(&r->orders);
	quotas_rest(&r->quotas);
	reserved_rest(&r->reserved);
	etcd_pause(r->etcd,
		   clock_now_ns() + etcd_backoff_ns(r->lease_failures));
}

/* Whether a call to etcd since SINCE_NS has taken long. */
static bool took_long(uint64_t since_ns)
{
	return clock_now_ns() - since_ns > SLOW_CALL_NS;
}

/* Waits for what etcd tells: each of the three hears of its own keys.  The
 * lease waits meanwhile: after one that took long the others have their turn
 * the next time. */
static void follow(struct registration *r)
{
	uint64_t since_ns = clock_now_ns();
	struct error why;

	if (orders_step(&r->orders))
		atomic_store(&r->noticed, true);
	if (!took_long(since_ns))
		quotas_step(&r->quotas);
	if (!took_long(since_ns))
		reserved_step(&r->reserved, next_ns(r), &why);
	hand_over(r);
}

static void *registration_main(void *arg)
{
	struct registration *r = arg;

	while (!atomic_load(&r->stopping)) {
		struct error why;
		int rc = step(r, &why);

		if (atomic_load(&r->stopping))
			break;
		if (!rc && !r->put_failures)
			tell_registered(r);
		else if (rc && rc != -ECANCELED)
			complain(r, &why);
		if (rc)
			rest(r);
		else
			follow(r);
	}
	orders_rest(&r->orders);
	leave(r);
	return NULL;
}

/* --- life --- */

int registration_open(struct server *server, struct error *why)
{
	struct registration *r = calloc(1, sizeof *r);
	struct error detail;
	int rc;

	if (!r) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	rc = etcd_open(&r->etcd, &server->config->pool.etcd, &detail);
	if (rc) {
		error_set(why, "--pool: %.240s", detail.text);
		free(r);
		return rc;
	}
	r->server = server;
	pthread_mutex_init(&r->lock, NULL);
	ask_open(&r->ask, server);
	server->registration = r;
	return 0;
}

int registration_start(struct server *server, struct error *why)
{
	struct registration *r = server->registration;
	int rc;

	if (!r)
		return 0;
	rc = offer_open(&r->offer, server, why);
	if (rc)
		return rc;
	snprintf(r->figures.address, sizeof r->figures.address, "%s",
		 net_name_format(&r->offer.address).text);
	snprintf(r->key, sizeof r->key, "%s%s",
		 pool_servers_prefix(&server->config->pool).text,
		 r->figures.address);
	orders_open(&r->orders, &r->ask, r->etcd, r->figures.address);
	set_figures(r, false, "");
	quotas_open(&r->quotas, r->etcd, &server->config->pool);
	rc = reserved_open(&r->reserved, r->etcd, &server->config->pool,
			   r->figures.address, &r->quotas, why);
	if (rc)
		return rc;
	rc = etcd_start(r->etcd, why);
	if (rc)
		return rc;
	rc = helper_start(&r->thread, "pool", registration_main, r);
	if (rc) {
		error_set(why, "cannot start a thread: %s", strerror(rc));
		return -rc;
	}
	r->has_thread = true;
	ev_prepare_init(&r->drained_check, drained_cb);
	ev_prepare_start(server->loop, &r->drained_check);
	return 0;
}

void registration_notice(struct server *server)
{
	struct registration *r = server->registration;

	if (!r)
		return;
	atomic_store(&r->noticed, true);
	etcd_wake(r->etcd);
}

/* Whoever waits for a drain has to hear whether slabs were left at the end. */
static void write_last_value(struct registration *r)
{
	size_t bytes;
	FILE *out = open_memstream(&r->last_value, &bytes);

	if (!out)
		return;
	offer_write(&r->offer, r->server, out);
	if (fclose(out) == 0)
		return;
	free(r->last_value);
	r->last_value = NULL;
}

void registration_leave(struct server *server)
{
	struct registration *r = server->registration;

	if (!r || atomic_load(&r->stopping))
		return;
	if (r->has_thread) {
		write_last_value(r);
		ev_prepare_stop(r->server->loop, &r->drained_check);
	}
	ask_close(&r->ask);
	/* Before: once the thread is to stop, it takes the key back, which is
	 * not to be canceled. */
	etcd_cancel(r->etcd);
	atomic_store(&r->stopping, true);
	etcd_wake(r->etcd);
}

void registration_stop(struct server *server)
{
	struct registration *r = server->registration;

	if (!r || !r->has_thread)
		return;
	registration_leave(server);
	/* Where it does not, it ends with the process. */
	if (!join_until(r->thread, clock_now_ns() + STOP_S * NS_PER_S))
		return;
	ask_free(&r->ask);
	server->registration = NULL;
	reserved_close(&r->reserved);
	quotas_close(&r->quotas);
	etcd_close(r->etcd);
	free(r->value);
	free(r->last_value);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

bool registration_figures(struct server *server,
			  struct registration_figures *figures)
{
	struct registration *r = server->registration;

	if (!r)
		return false;
	pthread_mutex_lock(&r->lock);
	*figures = r->figures;
	pthread_mutex_unlock(&r->lock);
	figures->etcd = etcd_figures(r->etcd);
	return true;
}
