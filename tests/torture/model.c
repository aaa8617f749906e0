#include "model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* More than there are slots, so that with all in flight on one page there is
 * still room for what is over. */
#define WRITES_MAX (MODEL_SLOTS_MAX + 4)
#define LOCKS	   1024u
#define ANY	   UINT64_MAX /* as a stamp: any of the page's */

/* One that a read of the page may return, or that a read which began before
 * DEAD might. */
struct write {
	uint64_t began, stamp;
	uint64_t ended; /* 0: in flight */
	uint64_t dead;	/* 0: it is not */
};

/* Most pages have one write; the room for more grows once and stays. */
struct page {
	struct write *writes;
	uint16_t n, room;
};

struct model {
	_Atomic uint64_t tick;
	_Atomic uint64_t blind;
	uint64_t pages;
	unsigned slots;
	_Atomic uint64_t began[MODEL_SLOTS_MAX]; /* 0: nothing in flight */
	pthread_mutex_t locks[LOCKS];
	struct page page[];
};

struct model *model_create(uint64_t pages, unsigned slots)
{
	struct model *m;

	m = calloc(1, sizeof *m + pages * sizeof m->page[0]);
	if (!m)
		return NULL;
	m->pages = pages;
	m->slots = slots;
	m->tick = 10;
	for (unsigned i = 0; i < LOCKS; i++)
		pthread_mutex_init(&m->locks[i], NULL);
	for (uint64_t i = 0; i < pages; i++) {
		struct page *p = &m->page[i];

		p->room = 2;
		p->writes = calloc(p->room, sizeof *p->writes);
		if (!p->writes) {
			model_free(m);
			return NULL;
		}
		p->writes[0] = (struct write){ .began = 1, .ended = 2 };
		p->n = 1;
	}
	return m;
}

void model_free(struct model *m)
{
	for (uint64_t i = 0; m && i < m->pages; i++)
		free(m->page[i].writes);
	free(m);
}

static uint64_t next_tick(struct model *m)
{
	return atomic_fetch_add(&m->tick, 1) + 1;
}

static struct page *lock_page(struct model *m, uint64_t page)
{
	pthread_mutex_lock(&m->locks[page % LOCKS]);
	return &m->page[page];
}

static void unlock_page(struct model *m, uint64_t page)
{
	pthread_mutex_unlock(&m->locks[page % LOCKS]);
}

/* A slot whose tick isn't there yet has not sent its request yet: what was dead
 * before is so for it, too. */
uint64_t model_begin(struct model *m, unsigned slot)
{
	uint64_t tick = next_tick(m);

	atomic_store(&m->began[slot], tick);
	return tick;
}

void model_finish(struct model *m, unsigned slot)
{
	atomic_store(&m->began[slot], 0);
}

static uint64_t oldest(struct model *m)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < m->slots; i++) {
		uint64_t began = atomic_load(&m->began[i]);

		if (began && began < oldest)
			oldest = began;
	}
	return oldest;
}

/* Forgets what no read in flight may return any more. */
static void prune(struct model *m, struct page *p)
{
	uint64_t before = oldest(m);
	uint16_t kept = 0;

	for (uint16_t i = 0; i < p->n; i++) {
		if (!p->writes[i].dead || p->writes[i].dead >= before)
			p->writes[kept++] = p->writes[i];
	}
	p->n = kept;
}

/* Makes one of all that are over and DEAD, or aren't: any value.  The two stay
 * apart, as they end apart. */
static void merge(struct page *p, bool dead)
{
	struct write any = { .stamp = ANY };
	uint16_t kept = 0;

	for (uint16_t i = 0; i < p->n; i++) {
		const struct write *w = &p->writes[i];

		if (!w->ended || (w->dead != 0) != dead) {
			p->writes[kept++] = *w;
			continue;
		}
		if (w->ended > any.ended)
			any.ended = w->ended;
		if (w->dead > any.dead)
			any.dead = w->dead;
	}
	if (any.ended)
		p->writes[kept++] = any;
	p->n = kept;
}

/* What is dead first: then only requests in flight are judged less. */
static void collapse(struct model *m, struct page *p)
{
	merge(p, true);
	if (p->n < p->room)
		return;
	merge(p, false);
	atomic_fetch_add(&m->blind, 1);
}

static void make_room(struct model *m, struct page *p)
{
	unsigned room = p->room * 2u;

	if (p->n < p->room)
		return;
	prune(m, p);
	if (p->n < p->room)
		return;
	if (room > WRITES_MAX)
		room = WRITES_MAX;
	if (p->room < room) {
		void *more = realloc(p->writes, room * sizeof *p->writes);

		if (!more)
			abort();
		p->writes = more;
		p->room = (uint16_t)room;
	} else {
		collapse(m, p);
	}
}

void model_write_begin(struct model *m, uint64_t page, uint64_t began,
		       uint64_t stamp)
{
	struct page *p = lock_page(m, page);

	make_room(m, p);
	p->writes[p->n++] = (struct write){ .began = began, .stamp = stamp };
	unlock_page(m, page);
}

static void kill_write(struct write *w, uint64_t tick)
{
	if (!w->dead || tick < w->dead)
		w->dead = tick;
}

void model_write_end(struct model *m, uint64_t page, uint64_t began, bool acked)
{
	struct page *p = lock_page(m, page);
	uint64_t now = next_tick(m);

	for (uint16_t i = 0; i < p->n; i++) {
		struct write *w = &p->writes[i];

		if (w->began == began && !w->ended)
			w->ended = now;
		else if (acked && w->ended && w->ended < began)
			kill_write(w, now);
	}
	prune(m, p);
	unlock_page(m, page);
}

static bool allowed(const struct write *w, uint64_t began)
{
	return !w->dead || began < w->dead;
}

static void list_allowed(const struct page *p, uint64_t began, char *text,
			 size_t size)
{
	const char *between = "";
	size_t length = 0;

	text[0] = '\0';
	for (uint16_t i = 0; i < p->n && length + 1 < size; i++) {
		const struct write *w = &p->writes[i];
		const char *state = w->ended ? "" : " (in flight)";

		if (!allowed(w, began))
			continue;
		if (w->stamp == ANY)
			length += (size_t)snprintf(text + length, size - length,
						   "%sany", between);
		else if (w->stamp == 0)
			length += (size_t)snprintf(text + length, size - length,
						   "%szeros%s", between, state);
		else
			length += (size_t)snprintf(text + length, size - length,
						   "%sstamp %" PRIu64 "%s",
						   between, w->stamp, state);
		between = " or ";
	}
}

/* With no write in flight since BEGAN, the page has had one value since the
 * last write's end: STAMP. */
static void settle(struct page *p, uint64_t began, uint64_t stamp)
{
	uint64_t last = 0;
	bool known = false;

	for (uint16_t i = 0; i < p->n; i++) {
		const struct write *w = &p->writes[i];

		if (!w->ended || w->ended > began)
			return;
		if (w->ended > last)
			last = w->ended;
		known |= w->stamp == stamp && !w->dead;
	}
	if (!known && p->n == p->room)
		return;
	for (uint16_t i = 0; i < p->n; i++) {
		if (p->writes[i].stamp != stamp)
			kill_write(&p->writes[i], last);
	}
	/* it was one of any */
	if (!known)
		p->writes[p->n++] =
			(struct write){ .stamp = stamp, .ended = last };
}

bool model_read_end(struct model *m, uint64_t page, uint64_t began,
		    uint64_t stamp, char *text, size_t size)
{
	struct page *p = lock_page(m, page);
	bool may = false;

	for (uint16_t i = 0; i < p->n && !may; i++)
		may = (p->writes[i].stamp == stamp ||
		       p->writes[i].stamp == ANY) &&
		      allowed(&p->writes[i], began);
	if (may)
		settle(p, began, stamp);
	else
		list_allowed(p, began, text, size);
	unlock_page(m, page);
	return may;
}

uint64_t model_blind(const struct model *m)
{
	return atomic_load(&m->blind);
}

unsigned model_may(struct model *m, uint64_t page, uint64_t *stamp)
{
	struct page *p = lock_page(m, page);
	unsigned n = 0;

	for (uint16_t i = 0; i < p->n; i++) {
		if (p->writes[i].dead)
			continue;
		*stamp = p->writes[i].stamp;
		n++;
	}
	unlock_page(m, page);
	return n;
}
