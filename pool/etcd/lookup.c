#include "lookup.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "helper.h"

enum state { IDLE, ASKED, DONE };

struct one {
	struct net_name name;
	enum state state;
	uint64_t asked_ns;
	/* if DONE */
	int rc;
	struct net_addrs addrs;
	struct error why;
};

struct lookup {
	/* The user's. */
	pthread_t thread;
	bool has_thread;
	pid_t pid; /* whose thread it is: none survives a fork */

	/* `lock` protects the rest, and is a leaf. */
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct one of[ETCD_ENDPOINTS_MAX];
	unsigned n;
	unsigned users;	     /* threads, also such that hang, and the user */
	unsigned generation; /* of the thread that counts; others end */
	bool stays;	     /* the thread, when no name is left */
	bool has_ended;	     /* the thread that counts */
	bool resolves;	     /* it is with the name service */
};

struct start {
	struct lookup *lookup;
	unsigned generation;
};

/* --- the thread --- */

/* The name that waits longest, or NULL. */
static struct one *next(struct lookup *lookup)
{
	struct one *first = NULL;

	for (unsigned i = 0; i < lookup->n; i++) {
		struct one *one = &lookup->of[i];

		if (one->state == ASKED &&
		    (!first || one->asked_ns < first->asked_ns))
			first = one;
	}
	return first;
}

/* Called, and returns, with the lock.  LOOKUP may belong to another thread, or
 * to nobody, when the name service answers. */
static void resolve(struct lookup *lookup, struct one *one, unsigned generation)
{
	struct net_name name = one->name;
	struct net_addrs addrs = { 0 };
	struct error why = { "" };
	int rc;

	lookup->resolves = true;
	pthread_mutex_unlock(&lookup->lock);
	rc = net_resolve(&name, &addrs, &why);
	pthread_mutex_lock(&lookup->lock);
	if (lookup->generation != generation)
		return;
	lookup->resolves = false;
	one->state = DONE;
	one->rc = rc;
	one->addrs = addrs;
	one->why = why;
	pthread_cond_broadcast(&lookup->change);
}

/* Called with the lock, which is gone afterwards. */
static void leave(struct lookup *lookup)
{
	bool is_last = --lookup->users == 0;

	pthread_mutex_unlock(&lookup->lock);
	if (!is_last)
		return;
	pthread_cond_destroy(&lookup->change);
	pthread_mutex_destroy(&lookup->lock);
	free(lookup);
}

static void *lookup_main(void *arg)
{
	struct start start = *(struct start *)arg;
	struct lookup *lookup = start.lookup;

	free(arg);
	pthread_mutex_lock(&lookup->lock);
	while (lookup->generation == start.generation) {
		struct one *one = next(lookup);

		if (one)
			resolve(lookup, one, start.generation);
		else if (lookup->stays)
			pthread_cond_wait(&lookup->change, &lookup->lock);
		else
			break;
	}
	if (lookup->generation == start.generation)
		lookup->has_ended = true;
	leave(lookup);
	return NULL;
}

/* --- its life --- */

static void open_lock(struct lookup *lookup)
{
	pthread_mutex_init(&lookup->lock, NULL);
	clock_cond_init(&lookup->change);
}

/* After a fork its thread is not there, and may have had the lock. */
static void notice_fork(struct lookup *lookup)
{
	if (!lookup->has_thread || lookup->pid == getpid())
		return;
	open_lock(lookup);
	lookup->has_thread = false;
	lookup->resolves = false;
	lookup->users = 1;
}

/* One that is with the name service ends when that answers. */
static void end_thread(struct lookup *lookup)
{
	bool resolves;

	if (!lookup->has_thread)
		return;
	pthread_mutex_lock(&lookup->lock);
	lookup->generation++;
	resolves = lookup->resolves;
	lookup->resolves = false;
	pthread_cond_broadcast(&lookup->change);
	pthread_mutex_unlock(&lookup->lock);
	if (resolves)
		pthread_detach(lookup->thread);
	else
		pthread_join(lookup->thread, NULL);
	lookup->has_thread = false;
}

static int start_thread(struct lookup *lookup, bool stays)
{
	struct start *start = malloc(sizeof *start);
	int rc;

	if (!start)
		return ENOMEM;
	pthread_mutex_lock(&lookup->lock);
	lookup->users++;
	lookup->stays = stays;
	lookup->has_ended = false;
	*start = (struct start){ lookup, lookup->generation };
	pthread_mutex_unlock(&lookup->lock);
	rc = helper_start(&lookup->thread, "pool-names", lookup_main, start);
	if (rc) {
		pthread_mutex_lock(&lookup->lock);
		lookup->users--;
		pthread_mutex_unlock(&lookup->lock);
		free(start);
		return rc;
	}
	lookup->has_thread = true;
	lookup->pid = getpid();
	return 0;
}

struct lookup *lookup_open(const struct net_name *names, unsigned n)
{
	struct lookup *lookup = calloc(1, sizeof *lookup);

	if (!lookup)
		return NULL;
	open_lock(lookup);
	lookup->users = 1;
	lookup->n = n;
	for (unsigned i = 0; i < n; i++)
		lookup->of[i].name = names[i];
	return lookup;
}

void lookup_close(struct lookup *lookup)
{
	if (!lookup)
		return;
	notice_fork(lookup);
	end_thread(lookup);
	pthread_mutex_lock(&lookup->lock);
	leave(lookup);
}

int lookup_start(struct lookup *lookup)
{
	bool any = false;

	for (unsigned i = 0; i < lookup->n; i++)
		any |= !net_host_is_numeric(lookup->of[i].name.host);
	notice_fork(lookup);
	end_thread(lookup);
	return any ? start_thread(lookup, true) : 0;
}

/* --- the user --- */

/* A thread for what was asked, if there is none. */
static int have_thread(struct lookup *lookup)
{
	bool has_ended;

	notice_fork(lookup);
	pthread_mutex_lock(&lookup->lock);
	has_ended = lookup->has_ended;
	pthread_cond_broadcast(&lookup->change);
	pthread_mutex_unlock(&lookup->lock);
	if (lookup->has_thread && !has_ended)
		return 0;
	end_thread(lookup);
	return start_thread(lookup, false);
}

/* What needs no thread, or got none. */
static void answer(struct lookup *lookup, struct one *one, int rc,
		   const struct net_addrs *addrs, const struct error *why)
{
	pthread_mutex_lock(&lookup->lock);
	one->state = DONE;
	one->rc = rc;
	one->addrs = *addrs;
	one->why = *why;
	pthread_mutex_unlock(&lookup->lock);
}

void lookup_ask(struct lookup *lookup, unsigned which)
{
	struct one *one = &lookup->of[which];
	struct net_addrs addrs = { 0 };
	struct error why = { "" };
	int rc;

	notice_fork(lookup);
	pthread_mutex_lock(&lookup->lock);
	if (one->state == IDLE) {
		one->asked_ns = clock_now_ns();
		one->state = ASKED;
	}
	pthread_mutex_unlock(&lookup->lock);
	if (net_host_is_numeric(one->name.host)) {
		answer(lookup, one, net_resolve(&one->name, &addrs, &why),
		       &addrs, &why);
		return;
	}
	rc = have_thread(lookup);
	if (!rc)
		return;
	error_set(&why, "cannot look up \"%s\": no thread: %s", one->name.host,
		  strerror(rc));
	answer(lookup, one, -rc, &addrs, &why);
}

uint64_t lookup_asked_ns(struct lookup *lookup, unsigned which)
{
	const struct one *one = &lookup->of[which];
	uint64_t asked_ns;

	pthread_mutex_lock(&lookup->lock);
	asked_ns = one->state == IDLE ? 0 : one->asked_ns;
	pthread_mutex_unlock(&lookup->lock);
	return asked_ns;
}

bool lookup_wait(struct lookup *lookup, unsigned which, uint64_t until_ns)
{
	const struct one *one = &lookup->of[which];
	struct timespec until = clock_timespec(until_ns);
	bool is_done;

	pthread_mutex_lock(&lookup->lock);
	while (one->state == ASKED && clock_left_ns(until_ns))
		pthread_cond_timedwait(&lookup->change, &lookup->lock, &until);
	is_done = one->state == DONE;
	pthread_mutex_unlock(&lookup->lock);
	return is_done;
}

bool lookup_take(struct lookup *lookup, unsigned which, int *rc,
		 struct net_addrs *addrs, struct error *why)
{
	struct one *one = &lookup->of[which];
	bool is_done;

	pthread_mutex_lock(&lookup->lock);
	is_done = one->state == DONE;
	if (is_done) {
		*rc = one->rc;
		*addrs = one->addrs;
		*why = one->why;
		one->state = IDLE;
	}
	pthread_mutex_unlock(&lookup->lock);
	return is_done;
}
