#include "poolprint.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "words.h"

/* --- sums --- */

struct sum {
	const char *zone; /* "" for servers without one; NULL: of all */
	unsigned servers, serving;
	uint64_t memory_bytes, free_bytes;
};

static void add(struct sum *sum, const struct member *m)
{
	sum->servers++;
	sum->serving += !strcmp(m->state, "serving");
	sum->memory_bytes += m->memory_bytes;
	sum->free_bytes += m->free_bytes;
}

static int by_zone(const void *a, const void *b)
{
	return strcmp((*(const struct member *const *)a)->zone,
		      (*(const struct member *const *)b)->zone);
}

/* Of all, and of each zone: *ZONES of *N, which the caller frees.  The strings
 * belong to MEMBERS. */
static struct sum add_up(const struct members *members, struct sum **zones,
			 unsigned *n)
{
	const struct member **sorted = calloc(members->n + 1, sizeof *sorted);
	struct sum all = { 0 };
	unsigned understood = 0;

	*zones = calloc(members->n + 1, sizeof **zones);
	*n = 0;
	for (unsigned i = 0; sorted && i < members->n; i++) {
		if (members->entries[i].is_understood)
			sorted[understood++] = &members->entries[i].member;
	}
	if (understood)
		qsort(sorted, understood, sizeof *sorted, by_zone);
	for (unsigned i = 0; *zones && i < understood; i++) {
		if (!i || strcmp(sorted[i]->zone, sorted[i - 1]->zone))
			(*zones)[(*n)++].zone = sorted[i]->zone;
		add(&(*zones)[*n - 1], sorted[i]);
		add(&all, sorted[i]);
	}
	free(sorted);
	return all;
}

/* --- for people --- */

#define SERVER_FORMAT "  %-24s %-11s %-10s %-9s %10s %10s %8s %7s  %s\n"
#define ZONE_FORMAT   "  %-24s %-11s %-20s %10s %10s\n"

struct cell {
	char text[32];
};

static struct cell number(uint64_t n, const char *behind)
{
	struct cell cell;

	snprintf(cell.text, sizeof cell.text, "%" PRIu64 "%s", n, behind);
	return cell;
}

static void print_server(const struct members_entry *e)
{
	const struct member *m = &e->member;
	bool tcp = m->transports & WIRE_TRANSPORT_TCP;
	bool rdma = m->transports & WIRE_TRANSPORT_RDMA;

	if (!e->is_understood) {
		printf("  %-24s %s\n", e->address.text, e->why.text);
		return;
	}
	printf(SERVER_FORMAT, e->address.text, m->state,
	       *m->zone ? m->zone : "-",
	       tcp && rdma ? "tcp,rdma"
	       : tcp	   ? "tcp"
			   : "rdma",
	       words_bytes(m->free_bytes).text,
	       words_bytes(m->memory_bytes).text, number(m->sessions, "").text,
	       number((m->load_permille + 5) / 10, " %").text,
	       *m->version ? m->version : "-");
}

static void print_zone(const struct sum *sum)
{
	printf(ZONE_FORMAT, *sum->zone ? sum->zone : "-",
	       number(sum->servers, "").text, number(sum->serving, "").text,
	       words_bytes(sum->free_bytes).text,
	       words_bytes(sum->memory_bytes).text);
}

void poolprint_table(const struct pool *pool, const struct members *members,
		     const struct poolreserve_view *reserve,
		     const char *endpoint)
{
	struct sum *zones;
	unsigned n;
	struct sum all = add_up(members, &zones, &n);

	printf("pool %s: %u server%s, %u of them serving, %s free of %s; etcd "
	       "at %s\n",
	       pool->name, all.servers, all.servers == 1 ? "" : "s",
	       all.serving, words_bytes(all.free_bytes).text,
	       words_bytes(all.memory_bytes).text, endpoint);
	if (members->n)
		printf(SERVER_FORMAT, "SERVER", "STATE", "ZONE", "TRANSPORT",
		       "FREE", "TOTAL", "SESSIONS", "LOAD", "VERSION");
	for (unsigned i = 0; i < members->n; i++)
		print_server(&members->entries[i]);
	if (n)
		printf(ZONE_FORMAT, "ZONE", "SERVERS", "SERVING", "FREE",
		       "TOTAL");
	for (unsigned i = 0; i < n; i++)
		print_zone(&zones[i]);
	free(zones);
	poolreserve_print_tenants(reserve);
}

static struct cell percent(uint32_t ppm)
{
	struct cell cell;

	snprintf(cell.text, sizeof cell.text, "%.1f %%", ppm / 1e4);
	return cell;
}

#define PLAN_FORMAT "  %-24s %-10s %8s %12s  %s\n"

static void print_fill(const struct poolplan_server *s)
{
	const struct member *m = s->member;
	bool is_over = s->excess_bytes >= 0;
	uint64_t bytes = is_over ? (uint64_t)s->excess_bytes
				 : -(uint64_t)s->excess_bytes;

	printf(PLAN_FORMAT, net_name_format(&m->address).text,
	       *m->zone ? m->zone : "-", percent(s->fill_ppm).text,
	       words_bytes(bytes).text,
	       !bytes	 ? "as the mean"
	       : is_over ? "too much"
			 : "too little");
}

void poolprint_plan_table(const struct pool *pool, const struct poolplan *plan)
{
	printf("pool %s: %u server%s serving, %s in use; spread of fill %s\n",
	       pool->name, plan->n, plan->n == 1 ? "" : "s",
	       percent(plan->mean_ppm).text, percent(plan->spread_ppm).text);
	if (plan->n)
		printf(PLAN_FORMAT, "SERVER", "ZONE", "FILL", "FROM MEAN", "");
	for (unsigned i = 0; i < plan->n; i++)
		print_fill(&plan->servers[i]);
	printf("%s%s in %" PRIu64 " slab%s would move\n",
	       plan->is_cut ? "more than " : "",
	       words_bytes(plan->move_bytes).text, plan->move_slabs,
	       plan->move_slabs == 1 ? "" : "s");
}

/* --- JSON --- */

static void put(struct json_object *to, const char *key,
		struct json_object *value)
{
	json_object_object_add(to, key, value);
}

static void put_text(struct json_object *to, const char *key, const char *text)
{
	put(to, key, json_object_new_string(text));
}

static void put_number(struct json_object *to, const char *key, uint64_t n)
{
	put(to, key, json_object_new_uint64(n));
}

/* As the server wrote it. */
static struct json_object *json_server(const struct members_entry *e)
{
	struct json_object *server = NULL;
	char *text = NULL;
	size_t bytes;
	FILE *out = e->is_understood ? open_memstream(&text, &bytes) : NULL;

	if (out) {
		member_write(&e->member, out);
		if (fclose(out) == 0)
			server = json_tokener_parse(text);
		free(text);
	}
	if (server)
		return server;
	server = json_object_new_object();
	put_text(server, "address", e->address.text);
	put_text(server, "error", e->why.text);
	return server;
}

static struct json_object *json_sum(const struct sum *sum)
{
	struct json_object *object = json_object_new_object();

	if (sum->zone)
		put_text(object, "zone", sum->zone);
	put_number(object, "servers", sum->servers);
	put_number(object, "serving", sum->serving);
	put_number(object, "memory_bytes", sum->memory_bytes);
	put_number(object, "free_bytes", sum->free_bytes);
	return object;
}

static struct json_object *json_tenant(const struct poolreserve_tenant *t)
{
	struct json_object *tenant = json_object_new_object();

	put_text(tenant, "identity", t->identity);
	put_number(tenant, "reserved_bytes", t->reserved_bytes);
	put(tenant, "quota_bytes",
	    t->has_quota ? json_object_new_uint64(t->quota_bytes) : NULL);
	put_number(tenant, "clients", t->clients);
	return tenant;
}

/* In one line unless PRETTY.  Frees ALL. */
static void print_all(struct json_object *all, bool pretty)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE |
		    (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
			    : JSON_C_TO_STRING_PLAIN);

	printf("%s\n", json_object_to_json_string_ext(all, flags));
	json_object_put(all);
}

void poolprint_json(const struct pool *pool, const struct members *members,
		    const struct poolreserve_view *reserve, bool pretty)
{
	struct json_object *all = json_object_new_object();
	struct json_object *list = json_object_new_array();
	struct json_object *sums = json_object_new_array();
	struct json_object *tenants = json_object_new_array();
	struct sum *zones;
	unsigned n;
	struct sum total = add_up(members, &zones, &n);

	for (unsigned i = 0; i < members->n; i++)
		json_object_array_add(list, json_server(&members->entries[i]));
	for (unsigned i = 0; i < n; i++)
		json_object_array_add(sums, json_sum(&zones[i]));
	free(zones);
	for (unsigned i = 0; i < reserve->n_tenants; i++)
		json_object_array_add(tenants,
				      json_tenant(&reserve->tenants[i]));
	put_text(all, "pool", pool->name);
	put(all, "total", json_sum(&total));
	put(all, "zones", sums);
	put(all, "tenants", tenants);
	put(all, "servers", list);
	print_all(all, pretty);
}

void poolprint_plan_json(const struct pool *pool, const struct poolplan *plan)
{
	struct json_object *all = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (unsigned i = 0; i < plan->n; i++) {
		const struct poolplan_server *s = &plan->servers[i];
		struct json_object *server = json_object_new_object();

		put_text(server, "address",
			 net_name_format(&s->member->address).text);
		if (*s->member->zone)
			put_text(server, "zone", s->member->zone);
		put_number(server, "fill_ppm", s->fill_ppm);
		put(server, "excess_bytes",
		    json_object_new_int64(s->excess_bytes));
		json_object_array_add(list, server);
	}
	put_text(all, "pool", pool->name);
	put_number(all, "fill_ppm", plan->mean_ppm);
	put_number(all, "spread_ppm", plan->spread_ppm);
	put_number(all, "move_slabs", plan->move_slabs);
	put_number(all, "move_bytes", plan->move_bytes);
	put(all, "is_cut", json_object_new_boolean(plan->is_cut));
	put(all, "servers", list);
	print_all(all, true);
}
