#include "request.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "b64.h"
#include "jsonout.h"

/* A request while it is written. */
struct body {
	char *text;
	size_t bytes;
	struct jsonout j;
	bool failed;
};

static bool begin(struct body *body)
{
	*body = (struct body){ 0 };
	body->j.out = open_memstream(&body->text, &body->bytes);
	if (!body->j.out)
		return false;
	jsonout_begin(&body->j, NULL, '{');
	return true;
}

static char *finish(struct body *body)
{
	jsonout_end(&body->j, '}');
	if (fclose(body->j.out) == 0 && !body->failed)
		return body->text;
	free(body->text);
	return NULL;
}

static void put_bytes(struct body *body, const char *name, const void *bytes,
		      size_t n)
{
	char *text = b64_encode(bytes, n);

	if (text)
		jsonout_text(&body->j, name, text);
	else
		body->failed = true;
	free(text);
}

static void put_text(struct body *body, const char *name, const char *text)
{
	put_bytes(body, name, text, strlen(text));
}

/* The end of the keys that begin with PREFIX, which is not empty and is ASCII:
 * the first key behind them. */
static void put_end(struct body *body, const char *prefix)
{
	size_t n = strlen(prefix);
	char *end = strdup(prefix);

	if (end) {
		end[n - 1]++;
		put_bytes(body, "range_end", end, n);
	}
	body->failed |= !end;
	free(end);
}

char *etcd_request_range(const struct etcd_page *page)
{
	struct body body;

	if (!begin(&body))
		return NULL;
	/* With its NUL a key is the first one behind itself. */
	if (page->after)
		put_bytes(&body, "key", page->after, page->after_bytes + 1);
	else
		put_text(&body, "key", page->prefix);
	put_end(&body, page->prefix);
	jsonout_number(&body.j, "limit", page->limit);
	if (page->revision)
		jsonout_number(&body.j, "revision", page->revision);
	if (page->keys_only)
		jsonout_bool(&body.j, "keys_only", true);
	return finish(&body);
}

static void put_pair(struct body *body, const char *key, const char *value,
		     uint64_t lease)
{
	put_text(body, "key", key);
	put_text(body, "value", value);
	if (lease)
		jsonout_number(&body->j, "lease", lease);
}

char *etcd_request_put(const char *key, const char *value, uint64_t lease)
{
	struct body body;

	if (!begin(&body))
		return NULL;
	put_pair(&body, key, value, lease);
	return finish(&body);
}

static void put_comparison(struct body *body, const char *key, uint64_t lease)
{
	struct jsonout *j = &body->j;

	jsonout_begin(j, "compare", '[');
	jsonout_begin(j, NULL, '{');
	put_text(body, "key", key);
	jsonout_text(j, "target", "LEASE");
	jsonout_text(j, "result", "EQUAL");
	jsonout_number(j, "lease", lease);
	jsonout_end(j, '}');
	jsonout_end(j, ']');
}

static void put_change(struct body *body, const struct etcd_change *change,
		       uint64_t lease)
{
	struct jsonout *j = &body->j;

	jsonout_begin(j, NULL, '{');
	if (change->value) {
		jsonout_begin(j, "request_put", '{');
		put_pair(body, change->key, change->value, lease);
	} else {
		jsonout_begin(j, "request_delete_range", '{');
		put_text(body, "key", change->key);
	}
	jsonout_end(j, '}');
	jsonout_end(j, '}');
}

char *etcd_request_put_if(const char *where, uint64_t lease_now,
			  const char *key, const char *value, uint64_t lease)
{
	const struct etcd_change put = { key, value };
	struct body body;
	struct jsonout *j = &body.j;

	if (!begin(&body))
		return NULL;
	put_comparison(&body, where, lease_now);
	jsonout_begin(j, "success", '[');
	put_change(&body, &put, lease);
	jsonout_end(j, ']');
	jsonout_begin(j, "failure", '[');
	jsonout_begin(j, NULL, '{');
	jsonout_begin(j, "request_range", '{');
	put_text(&body, "key", where);
	jsonout_end(j, '}');
	jsonout_end(j, '}');
	jsonout_end(j, ']');
	return finish(&body);
}

static void put_guard(struct body *body, const struct etcd_guard *guard)
{
	struct jsonout *j = &body->j;

	jsonout_begin(j, NULL, '{');
	put_text(body, "key", guard->prefix);
	put_end(body, guard->prefix);
	jsonout_text(j, "target", "MOD");
	jsonout_text(j, "result", "LESS");
	jsonout_number(j, "mod_revision", guard->revision + 1);
	jsonout_end(j, '}');
}

char *etcd_request_txn(const struct etcd_txn *txn)
{
	struct body body;
	struct jsonout *j = &body.j;

	if (!begin(&body))
		return NULL;
	jsonout_begin(j, "compare", '[');
	for (unsigned i = 0; i < txn->n_guards; i++)
		put_guard(&body, &txn->guards[i]);
	jsonout_end(j, ']');
	jsonout_begin(j, "success", '[');
	for (unsigned i = 0; i < txn->n_changes; i++)
		put_change(&body, &txn->changes[i], txn->lease);
	jsonout_end(j, ']');
	return finish(&body);
}

char *etcd_request_grant(uint64_t ttl_s)
{
	struct body body;

	if (!begin(&body))
		return NULL;
	jsonout_number(&body.j, "TTL", ttl_s);
	return finish(&body);
}

char *etcd_request_lease(uint64_t lease)
{
	struct body body;

	if (!begin(&body))
		return NULL;
	jsonout_number(&body.j, "ID", lease);
	return finish(&body);
}

char *etcd_request_authenticate(const char *user, const char *password)
{
	struct body body;

	if (!begin(&body))
		return NULL;
	jsonout_text(&body.j, "name", user);
	jsonout_text(&body.j, "password", password);
	return finish(&body);
}

char *etcd_request_watch(const char *prefix, uint64_t revision)
{
	struct body body;

	if (!begin(&body))
		return NULL;
	jsonout_begin(&body.j, "create_request", '{');
	put_text(&body, "key", prefix);
	put_end(&body, prefix);
	jsonout_number(&body.j, "start_revision", revision);
	jsonout_end(&body.j, '}');
	return finish(&body);
}
