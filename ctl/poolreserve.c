#include "poolreserve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "shares.h"

#define CALL_NS (10 * NS_PER_S)

static uint64_t soon_ns(void)
{
	return clock_now_ns() + CALL_NS;
}

/* --- setting --- */

static char *quota_text(uint64_t bytes)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	quota_write(bytes, out);
	return fclose(out) ? NULL : text;
}

static char *settings_text(uint32_t permille)
{
	const struct pool_settings settings = { permille };
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	settings_write(&settings, out);
	return fclose(out) ? NULL : text;
}

int poolreserve_set(struct etcd *etcd, const struct pool *pool,
		    const struct poolreserve_orders *orders, struct error *why)
{
	struct pool_key quota =
		quota_key(pool, orders->tenant ? orders->tenant : "");
	struct pool_key settings = settings_key(pool);
	struct etcd_change changes[2];
	struct etcd_txn txn = { .changes = changes };
	char *texts[2] = { NULL, NULL };
	bool done, failed = false;
	int rc = -ENOMEM;

	if (orders->tenant) {
		texts[0] = orders->has_quota ? quota_text(orders->quota_bytes)
					     : NULL;
		failed = orders->has_quota && !texts[0];
		changes[txn.n_changes++] =
			(struct etcd_change){ quota.text, texts[0] };
	}
	if (orders->overcommit_permille) {
		texts[1] = settings_text(orders->overcommit_permille);
		failed |= !texts[1];
		changes[txn.n_changes++] =
			(struct etcd_change){ settings.text, texts[1] };
	}
	error_set(why, "out of memory");
	if (!txn.n_changes)
		rc = 0;
	else if (!failed)
		rc = etcd_transact(etcd, &txn, soon_ns(), &done, why);
	free(texts[0]);
	free(texts[1]);
	return rc;
}

/* --- arrays --- */

/* The entry of *N of SIZE bytes whose first member is the text KEY, or a new
 * one with nothing else in it.  NULL: out of memory. */
static void *entry_of(void **array, unsigned *n, size_t size, const char *key)
{
	char *at, *more;

	for (unsigned i = 0; i < *n; i++) {
		at = (char *)*array + i * size;
		if (!strcmp(at, key))
			return at;
	}
	more = realloc(*array, (*n + 1) * size);
	if (!more)
		return NULL;
	*array = more;
	at = more + (*n)++ * size;
	memset(at, 0, size);
	memcpy(at, key, strlen(key));
	return at;
}

/* These three: a KEY that is shorter than the first member. */

static struct poolreserve_server *server_of(struct poolreserve_view *view,
					    const char *key)
{
	void *array = view->servers;
	struct poolreserve_server *found =
		entry_of(&array, &view->n_servers, sizeof *view->servers, key);

	view->servers = array;
	view->out_of_memory |= !found;
	return found;
}

static struct poolreserve_tenant *tenant_of(struct poolreserve_view *view,
					    const char *key)
{
	void *array = view->tenants;
	struct poolreserve_tenant *found =
		entry_of(&array, &view->n_tenants, sizeof *view->tenants, key);

	view->tenants = array;
	view->out_of_memory |= !found;
	return found;
}

static struct poolreserve_client *client_of(struct poolreserve_view *view,
					    const char *key)
{
	void *array = view->clients;
	struct poolreserve_client *found =
		entry_of(&array, &view->n_clients, sizeof *view->clients, key);

	view->clients = array;
	view->out_of_memory |= !found;
	return found;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* --- reading --- */

struct reader {
	struct poolreserve_view *view;
	struct pool_key prefix;
};

/* The key of a reservation behind the prefix: NAME/ID, where a NAME may have
 * slashes. */
static bool take_apart(const struct reader *reader, const struct etcd_kv *kv,
		       char *name, size_t size, const char **id)
{
	const char *begin = kv->key + strlen(reader->prefix.text);
	const char *slash = strrchr(begin, '/');

	if (!slash || !reservation_id_ok(slash + 1) ||
	    (size_t)(slash - begin) >= size)
		return false;
	snprintf(name, size, "%.*s", (int)(slash - begin), begin);
	*id = slash + 1;
	return wire_name_ok(name);
}

static void add(uint64_t *sum, uint64_t n)
{
	*sum = n > INT64_MAX - *sum ? INT64_MAX : *sum + n;
}

static bool take_on_server(struct reader *reader, const struct etcd_kv *kv)
{
	struct poolreserve_view *view = reader->view;
	struct poolreserve_server *server;
	struct reservation said;
	struct net_text address;
	struct error why;
	const char *id;

	if (!take_apart(reader, kv, address.text, sizeof address.text, &id) ||
	    reservation_parse(kv->value, &said, &why))
		return false;
	server = server_of(view, address.text);
	if (server)
		add(&server->reserved_bytes, said.bytes);
	return true;
}

static bool take_in_all(struct reader *reader, const struct etcd_kv *kv)
{
	struct poolreserve_view *view = reader->view;
	char identity[WIRE_NAME_BYTES];
	struct poolreserve_client *client;
	struct poolreserve_tenant *tenant;
	struct reservation said;
	struct error why;
	const char *id;

	if (!take_apart(reader, kv, identity, sizeof identity, &id) ||
	    reservation_parse(kv->value, &said, &why) ||
	    strcmp(identity, said.identity))
		return false;
	client = client_of(view, id);
	tenant = tenant_of(view, identity);
	if (!client || !tenant)
		return true;
	client->said = said;
	add(&tenant->reserved_bytes, said.bytes);
	tenant->clients++;
	return true;
}

static bool take_quota(struct reader *reader, const struct etcd_kv *kv)
{
	const char *identity = kv->key + strlen(reader->prefix.text);
	struct poolreserve_tenant *tenant;
	struct error why;
	uint64_t bytes;

	if (strlen(identity) >= WIRE_NAME_BYTES || !wire_name_ok(identity) ||
	    quota_parse(kv->value, &bytes, &why))
		return false;
	tenant = tenant_of(reader->view, identity);
	if (tenant) {
		tenant->has_quota = true;
		tenant->quota_bytes = bytes;
	}
	return true;
}

static bool take_settings(struct reader *reader, const struct etcd_kv *kv)
{
	struct error why;

	return strcmp(kv->key, reader->prefix.text) ||
	       !settings_parse(kv->value, &reader->view->settings, &why);
}

struct taking {
	struct reader reader;
	bool (*take)(struct reader *reader, const struct etcd_kv *kv);
};

static void take_each(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	struct taking *taking = arg;

	for (unsigned i = 0; i < n; i++)
		taking->reader.view->skipped +=
			!taking->take(&taking->reader, &kvs[i]);
}

static int read_all(struct etcd *etcd, struct poolreserve_view *view,
		    struct pool_key prefix, uint64_t deadline_ns,
		    bool (*take)(struct reader *reader,
				 const struct etcd_kv *kv),
		    struct error *why)
{
	struct taking taking = { { view, prefix }, take };
	uint64_t revision;

	return etcd_range(etcd, taking.reader.prefix.text, deadline_ns,
			  take_each, &taking, &revision, why);
}

static void add_members(struct poolreserve_view *view,
			const struct members *members)
{
	for (unsigned i = 0; i < members->n; i++) {
		const struct members_entry *entry = &members->entries[i];
		struct poolreserve_server *server;

		if (!entry->is_understood)
			continue;
		server = server_of(view, entry->address.text);
		if (!server)
			continue;
		server->is_registered = true;
		server->drains = member_drains(&entry->member);
		server->memory_bytes = entry->member.memory_bytes;
		server->unreserved_bytes = entry->member.unreserved_bytes;
	}
}

static void sort(struct poolreserve_view *view)
{
	if (view->n_clients)
		qsort(view->clients, view->n_clients, sizeof *view->clients,
		      by_text);
	if (view->n_tenants)
		qsort(view->tenants, view->n_tenants, sizeof *view->tenants,
		      by_text);
	if (view->n_servers)
		qsort(view->servers, view->n_servers, sizeof *view->servers,
		      by_text);
}

static int finish(struct poolreserve_view *view, int rc, struct error *why)
{
	if (!rc && view->out_of_memory) {
		error_set(why, "out of memory");
		rc = -ENOMEM;
	}
	sort(view);
	return rc;
}

static int read_tenants(struct etcd *etcd, const struct pool *pool,
			uint64_t deadline_ns, struct poolreserve_view *view,
			struct error *why)
{
	int rc = read_all(etcd, view, pool_key(pool, "reserving/"), deadline_ns,
			  take_in_all, why);

	if (!rc)
		rc = read_all(etcd, view, pool_key(pool, "tenants/"),
			      deadline_ns, take_quota, why);
	return rc;
}

int poolreserve_read_tenants(struct etcd *etcd, const struct pool *pool,
			     uint64_t deadline_ns,
			     struct poolreserve_view *view, struct error *why)
{
	*view = (struct poolreserve_view){ .n_tenants = 0 };
	return finish(view, read_tenants(etcd, pool, deadline_ns, view, why),
		      why);
}

int poolreserve_read(struct etcd *etcd, const struct pool *pool,
		     const struct members *members,
		     struct poolreserve_view *view, struct error *why)
{
	uint64_t deadline_ns = soon_ns();
	int rc;

	*view = (struct poolreserve_view){
		.settings = { SETTINGS_OVERCOMMIT_DEFAULT }
	};
	add_members(view, members);
	rc = read_all(etcd, view, pool_key(pool, "reserved/"), deadline_ns,
		      take_on_server, why);
	if (!rc)
		rc = read_tenants(etcd, pool, deadline_ns, view, why);
	if (!rc)
		rc = read_all(etcd, view, settings_key(pool), deadline_ns,
			      take_settings, why);
	return finish(view, rc, why);
}

uint64_t poolreserve_left(const struct poolreserve_view *view,
			  const struct poolreserve_server *server)
{
	if (server->drains)
		return 0;
	return shares_left(server->memory_bytes,
			   view->settings.overcommit_permille,
			   server->unreserved_bytes, server->reserved_bytes, 1);
}

void poolreserve_free(struct poolreserve_view *view)
{
	free(view->clients);
	free(view->tenants);
	free(view->servers);
}
