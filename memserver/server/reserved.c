#include "reserved.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "size.h"

/* Beside those of orders.c and quotas.c. */
#define WATCH 0
/* How long etcd has to list all: together with what quotas.c lists, and the
 * longest call of registration.c, less than the lease lasts. */
#define CALL_NS (2 * NS_PER_S)

/* How long a reservation that is not listed any more counts on.  A device finds
 * etcd again within its longest pause, and reserves anew. */
#define LINGER_NS (30 * NS_PER_S)

/* --- entries --- */

/* The entry of ID, or n. */
static unsigned find(const struct reserved *r, const char *id)
{
	unsigned i = 0;

	while (i < r->n && strcmp(r->entries[i].id, id) != 0)
		i++;
	return i;
}

static void take_out(struct reserved *r, unsigned i)
{
	r->entries[i] = r->entries[--r->n];
	r->changed = true;
}

/* Keys come from whoever may write to etcd. */
static void complain(struct reserved *r, const char *id, const char *why)
{
	if (r->complained_of_key)
		return;
	r->complained_of_key = true;
	log_error("pool %s: a reservation on this server is skipped: %s%.64s: "
		  "%s",
		  r->pool, r->prefix.text, wire_name_ok(id) ? id : "?", why);
}

static void put(struct reserved *r, const char *id,
		const struct reservation *said)
{
	unsigned i = find(r, id);
	struct reserved_entry *entry = &r->entries[i];

	if (i == RESERVED_MAX) {
		complain(r, id, "there are too many");
		return;
	}
	r->n += i == r->n;
	r->changed = true;
	*entry = (struct reserved_entry){ .bytes = said->bytes,
					  .is_listed = true };
	snprintf(entry->id, sizeof entry->id, "%s", id);
	snprintf(entry->identity, sizeof entry->identity, "%s", said->identity);
}

/* --- the view's --- */

static void begin(void *arg)
{
	struct reserved *r = arg;

	for (unsigned i = 0; i < r->n; i++)
		r->entries[i].is_listed = false;
}

static void end(void *arg)
{
	struct reserved *r = arg;
	uint64_t gone_ns = clock_now_ns() + LINGER_NS;

	for (unsigned i = 0; i < r->n; i++) {
		struct reserved_entry *entry = &r->entries[i];

		if (!entry->is_listed && !entry->gone_ns)
			entry->gone_ns = gone_ns;
	}
}

static void changed(void *arg, const struct etcd_kv *kv)
{
	struct reserved *r = arg;
	size_t length = strlen(r->prefix.text);
	const char *id = kv->key + length;
	struct reservation said;
	struct error why;
	unsigned i;

	if (strncmp(kv->key, r->prefix.text, length) != 0)
		return;
	if (!reservation_id_ok(id)) {
		complain(r, id, "its key does not end with 32 hex digits");
		return;
	}
	i = find(r, id);
	if (kv->deleted) {
		if (i < r->n)
			take_out(r, i);
		return;
	}
	if (!reservation_parse(kv->value, &said, &why)) {
		put(r, id, &said);
		return;
	}
	complain(r, id, why.text);
	if (i < r->n)
		take_out(r, i);
}

static const struct etcd_view_ops ops = { begin, end, changed };

static void end_lingering(struct reserved *r)
{
	if (!etcd_view_is_current(&r->view))
		return;
	for (unsigned i = r->n; i-- > 0;) {
		uint64_t gone_ns = r->entries[i].gone_ns;

		if (gone_ns && !clock_left_ns(gone_ns))
			take_out(r, i);
	}
}

int reserved_step(struct reserved *r, uint64_t until_ns, struct error *why)
{
	int rc = etcd_view_step(&r->view, until_ns, why);

	end_lingering(r);
	if (etcd_view_is_current(&r->view))
		complaint_end(&r->of_etcd);
	if (!rc || !complaint_is_due(&r->of_etcd, rc))
		return rc;
	log_error("pool %s: etcd does not tell what is reserved on this "
		  "server: %s",
		  r->pool, why->text);
	return rc;
}

/* --- sums --- */

static int by_name(const void *a, const void *b)
{
	const struct tenants_reservation *first = a, *second = b;

	return strcmp(first->name, second->name);
}

/* Sorted, with one sum for each identity. */
static unsigned merge(struct tenants_reservation *sums, unsigned n)
{
	unsigned kept = 0;

	qsort(sums, n, sizeof *sums, by_name);
	for (unsigned i = 0; i < n; i++) {
		struct tenants_reservation *last = &sums[kept - !!kept];

		if (!kept || strcmp(last->name, sums[i].name))
			sums[kept++] = sums[i];
		else if (sums[i].bytes > INT64_MAX - last->bytes)
			last->bytes = INT64_MAX;
		else
			last->bytes += sums[i].bytes;
	}
	return kept;
}

static void make_sums(struct reserved *r)
{
	for (unsigned i = 0; i < r->n; i++) {
		r->sums[i] = (struct tenants_reservation){
			.bytes = r->entries[i].bytes
		};
		memcpy(r->sums[i].name, r->entries[i].identity,
		       sizeof r->sums[i].name);
	}
	r->n_sums = merge(r->sums, r->n);
}

/* Once, until no identity has reserved too much. */
static void tell_over(struct reserved *r, const struct tenants_reservation *sum)
{
	if (sum && !r->told_over)
		log_error("pool %s: identity %s has reserved %s on this "
			  "server, which is beyond its quota: %s are held back",
			  r->pool, sum->name, size_format(sum->bytes).text,
			  size_format(sum->bytes - sum->over_bytes).text);
	r->told_over = sum != NULL;
}

static void apply_quotas(struct reserved *r)
{
	const struct tenants_reservation *first = NULL;

	for (unsigned i = 0; i < r->n_sums; i++) {
		struct tenants_reservation *sum = &r->sums[i];
		uint64_t most = quotas_of(r->quotas, sum->name);

		if (sum->bytes <= most)
			continue;
		sum->over_bytes = sum->bytes - most;
		first = first ? first : sum;
	}
	tell_over(r, first);
}

void reserved_hand_over(struct reserved *r, reserved_take *take, void *arg)
{
	uint64_t quotas_changes = r->quotas->changes;

	if (!r->changed && r->quotas_changes == quotas_changes)
		return;
	make_sums(r);
	apply_quotas(r);
	r->changed = !take(arg);
	r->quotas_changes = quotas_changes;
}

void reserved_apply(struct reserved *r, struct tenants *tenants)
{
	tenants_reserve(tenants, r->sums, r->n_sums);
}

/* --- life --- */

int reserved_open(struct reserved *r, struct etcd *etcd,
		  const struct pool *pool, const char *address,
		  const struct quotas *quotas, struct error *why)
{
	*r = (struct reserved){
		.pool = pool->name,
		.quotas = quotas,
		.prefix = reservation_server_prefix(pool, address),
		.entries = calloc(RESERVED_MAX, sizeof *r->entries),
		.sums = calloc(RESERVED_MAX, sizeof *r->sums),
	};
	r->view = (struct etcd_view){ .etcd = etcd,
				      .prefix = r->prefix.text,
				      .ops = &ops,
				      .arg = r,
				      .call_ns = CALL_NS,
				      .watch = WATCH };
	if (r->entries && r->sums)
		return 0;
	reserved_close(r);
	error_set(why, "out of memory");
	return -ENOMEM;
}

void reserved_rest(struct reserved *r)
{
	complaint_put_off(&r->of_etcd);
	etcd_view_close(&r->view);
}

void reserved_close(struct reserved *r)
{
	reserved_rest(r);
	free(r->entries);
	free(r->sums);
	*r = (struct reserved){ .n = 0 };
}
