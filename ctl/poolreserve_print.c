#include "poolreserve.h"

#include <inttypes.h>
#include <stdio.h>

#include "jsonout.h"
#include "words.h"

/* --- for people --- */

#define SERVER_FORMAT "  %-24s %12s %12s %12s %12s\n"
#define TENANT_FORMAT "  %-24s %12s %12s %12s\n"
#define CLIENT_FORMAT "  %-24s %12s %s\n"

static void print_servers(const struct poolreserve_view *view)
{
	if (view->n_servers)
		printf(SERVER_FORMAT, "SERVER", "RESERVED", "UNRESERVED",
		       "LEFT", "TOTAL");
	for (unsigned i = 0; i < view->n_servers; i++) {
		const struct poolreserve_server *s = &view->servers[i];

		if (!s->is_registered)
			printf(SERVER_FORMAT, s->address.text,
			       words_bytes(s->reserved_bytes).text, "-", "-",
			       "-");
		else
			printf(SERVER_FORMAT, s->address.text,
			       words_bytes(s->reserved_bytes).text,
			       words_bytes(s->unreserved_bytes).text,
			       words_bytes(poolreserve_left(view, s)).text,
			       words_bytes(s->memory_bytes).text);
	}
}

void poolreserve_print_tenants(const struct poolreserve_view *view)
{
	if (view->n_tenants)
		printf(TENANT_FORMAT, "IDENTITY", "RESERVED", "QUOTA",
		       "CLIENTS");
	for (unsigned i = 0; i < view->n_tenants; i++) {
		const struct poolreserve_tenant *t = &view->tenants[i];
		char clients[16];

		snprintf(clients, sizeof clients, "%u", t->clients);
		printf(TENANT_FORMAT, t->identity,
		       words_bytes(t->reserved_bytes).text,
		       t->has_quota ? words_bytes(t->quota_bytes).text : "none",
		       clients);
	}
}

static void print_clients(const struct poolreserve_view *view)
{
	if (view->n_clients)
		printf(CLIENT_FORMAT, "MACHINE", "RESERVED", "IDENTITY");
	for (unsigned i = 0; i < view->n_clients; i++) {
		const struct reservation *r = &view->clients[i].said;

		printf(CLIENT_FORMAT, *r->machine ? r->machine : "-",
		       words_bytes(r->bytes).text, r->identity);
	}
}

void poolreserve_print(const struct pool *pool,
		       const struct poolreserve_view *view)
{
	uint64_t reserved_bytes = 0, left_bytes = 0;

	for (unsigned i = 0; i < view->n_servers; i++) {
		reserved_bytes += view->servers[i].reserved_bytes;
		left_bytes += poolreserve_left(view, &view->servers[i]);
	}
	printf("pool %s: %s reserved by %u client%s, %s left to reserve, "
	       "overcommit %u.%03u\n",
	       pool->name, words_bytes(reserved_bytes).text, view->n_clients,
	       view->n_clients == 1 ? "" : "s", words_bytes(left_bytes).text,
	       view->settings.overcommit_permille / 1000,
	       view->settings.overcommit_permille % 1000);
	if (view->skipped)
		printf("  %u keys are not understood, and reserve nothing\n",
		       view->skipped);
	print_servers(view);
	poolreserve_print_tenants(view);
	print_clients(view);
}

/* --- JSON --- */

static void put_server(const struct poolreserve_view *view,
		       const struct poolreserve_server *s, struct jsonout *j)
{
	jsonout_begin(j, NULL, '{');
	jsonout_text(j, "address", s->address.text);
	jsonout_bool(j, "registered", s->is_registered);
	jsonout_number(j, "memory_bytes", s->memory_bytes);
	jsonout_number(j, "unreserved_bytes", s->unreserved_bytes);
	jsonout_number(j, "reserved_bytes", s->reserved_bytes);
	jsonout_number(j, "left_bytes", poolreserve_left(view, s));
	jsonout_end(j, '}');
}

static void put_tenant(const struct poolreserve_tenant *t, struct jsonout *j)
{
	jsonout_begin(j, NULL, '{');
	jsonout_text(j, "identity", t->identity);
	jsonout_number(j, "reserved_bytes", t->reserved_bytes);
	if (t->has_quota)
		jsonout_number(j, "quota_bytes", t->quota_bytes);
	else
		jsonout_null(j, "quota_bytes");
	jsonout_number(j, "clients", t->clients);
	jsonout_end(j, '}');
}

static void put_client(const struct poolreserve_client *c, struct jsonout *j)
{
	jsonout_begin(j, NULL, '{');
	jsonout_text(j, "id", c->id);
	jsonout_text(j, "identity", c->said.identity);
	jsonout_text(j, "machine", c->said.machine);
	jsonout_number(j, "bytes", c->said.bytes);
	jsonout_end(j, '}');
}

void poolreserve_print_json(const struct pool *pool,
			    const struct poolreserve_view *view)
{
	struct jsonout j = { .out = stdout };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "pool", pool->name);
	jsonout_number(&j, "overcommit_permille",
		       view->settings.overcommit_permille);
	jsonout_number(&j, "skipped", view->skipped);
	jsonout_begin(&j, "servers", '[');
	for (unsigned i = 0; i < view->n_servers; i++)
		put_server(view, &view->servers[i], &j);
	jsonout_end(&j, ']');
	jsonout_begin(&j, "tenants", '[');
	for (unsigned i = 0; i < view->n_tenants; i++)
		put_tenant(&view->tenants[i], &j);
	jsonout_end(&j, ']');
	jsonout_begin(&j, "reservations", '[');
	for (unsigned i = 0; i < view->n_clients; i++)
		put_client(&view->clients[i], &j);
	jsonout_end(&j, ']');
	jsonout_end(&j, '}');
	putchar('\n');
}
