#include "quotas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "reservation.h"

/* Beside those of reserved.c and orders.c. */
#define WATCH 2
/* How long etcd has to list all: together with what reserved.c lists, and the
 * longest call of registration.c, less than the lease lasts. */
#define CALL_NS (2 * NS_PER_S)

/* --- entries --- */

/* Where IDENTITY is, or would be. */
static unsigned find(const struct quotas *q, const char *identity, bool *found)
{
	unsigned low = 0, high = q->n;

	*found = false;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order = strcmp(q->entries[middle].identity, identity);

		*found |= !order;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void take_out(struct quotas *q, unsigned i)
{
	memmove(&q->entries[i], &q->entries[i + 1],
		(--q->n - i) * sizeof *q->entries);
	q->changes++;
}

/* Keys come from whoever may write to etcd. */
static void complain(struct quotas *q, const char *identity, const char *why)
{
	if (q->complained_of_key)
		return;
	q->complained_of_key = true;
	log_error("pool %s: a quota is skipped: %s%.64s: %s", q->pool,
		  q->prefix.text, wire_name_ok(identity) ? identity : "?", why);
}

static bool make_room(struct quotas *q)
{
	unsigned room = q->room ? 2 * q->room : 16;
	struct quotas_entry *more;

	if (q->n < q->room)
		return true;
	more = realloc(q->entries, room * sizeof *more);
	if (!more)
		return false;
	q->entries = more;
	q->room = room;
	return true;
}

/* A new entry at I, or NULL. */
static struct quotas_entry *put_in(struct quotas *q, unsigned i,
				   const char *identity)
{
	struct quotas_entry *at;

	if (q->n == QUOTAS_MAX || !make_room(q)) {
		complain(q, identity,
			 q->n == QUOTAS_MAX ? "there are too many"
					    : "out of memory");
		return NULL;
	}
	at = &q->entries[i];
	memmove(at + 1, at, (q->n++ - i) * sizeof *at);
	*at = (struct quotas_entry){ .bytes = QUOTAS_ANY };
	snprintf(at->identity, sizeof at->identity, "%s", identity);
	return at;
}

/* One that is not understood leaves what was known. */
static void put(struct quotas *q, const char *identity, const char *value)
{
	struct quotas_entry *entry;
	struct error why;
	uint64_t bytes;
	bool found;
	unsigned i = find(q, identity, &found);
	int rc = quota_parse(value, &bytes, &why);

	if (rc)
		complain(q, identity, why.text);
	if (rc && !found)
		return;
	entry = found ? &q->entries[i] : put_in(q, i, identity);
	if (!entry)
		return;
	entry->is_listed = true;
	if (rc || entry->bytes == bytes)
		return;
	entry->bytes = bytes;
	q->changes++;
}

/* --- the view's --- */

static void begin(void *arg)
{
	struct quotas *q = arg;

	for (unsigned i = 0; i < q->n; i++)
		q->entries[i].is_listed = false;
}

static void end(void *arg)
{
	struct quotas *q = arg;

	for (unsigned i = q->n; i-- > 0;) {
		if (!q->entries[i].is_listed)
			take_out(q, i);
	}
}

static void changed(void *arg, const struct etcd_kv *kv)
{
	struct quotas *q = arg;
	size_t length = strlen(q->prefix.text);
	const char *identity = kv->key + length;
	bool found;
	unsigned i;

	if (strncmp(kv->key, q->prefix.text, length) != 0)
		return;
	if (!*identity || strlen(identity) >= WIRE_NAME_BYTES ||
	    !wire_name_ok(identity)) {
		complain(q, "?", "its key does not end with an identity");
		return;
	}
	if (!kv->deleted) {
		put(q, identity, kv->value);
		return;
	}
	i = find(q, identity, &found);
	if (found)
		take_out(q, i);
}

static const struct etcd_view_ops ops = { begin, end, changed };

/* --- all of it --- */

void quotas_open(struct quotas *q, struct etcd *etcd, const struct pool *pool)
{
	*q = (struct quotas){ .pool = pool->name,
			      .prefix = quota_key(pool, "") };
	q->view = (struct etcd_view){ .etcd = etcd,
				      .prefix = q->prefix.text,
				      .ops = &ops,
				      .arg = q,
				      .call_ns = CALL_NS,
				      .watch = WATCH };
}

void quotas_step(struct quotas *q)
{
	struct error why;
	int rc = etcd_view_step(&q->view, clock_now_ns(), &why);

	if (etcd_view_is_current(&q->view))
		complaint_end(&q->of_etcd);
	if (rc && complaint_is_due(&q->of_etcd, rc))
		log_error("pool %s: quotas cannot be read, and the server goes "
			  "by those that it knows: %s",
			  q->pool, why.text);
}

void quotas_rest(struct quotas *q)
{
	complaint_put_off(&q->of_etcd);
	etcd_view_close(&q->view);
}

uint64_t quotas_of(const struct quotas *q, const char *identity)
{
	bool found;
	unsigned i = find(q, identity, &found);

	return found ? q->entries[i].bytes : QUOTAS_ANY;
}

void quotas_close(struct quotas *q)
{
	quotas_rest(q);
	free(q->entries);
	*q = (struct quotas){ .n = 0 };
}
