#include "tenants.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"
#include "tenantfile.h"

/* Of an identity that the file does not have. */
static const struct tenant_limits nothing = { .weight = 1 };

static const char *name_of(const char *identity)
{
	return *identity ? identity : "-";
}

static const struct tenant_limits *limits_of(const struct tenants *tenants,
					     const char *name)
{
	const struct tenant_limits *limits =
		tenants->file ? tenantfile_find(tenants->file, name)
			      : &tenant_no_limits;

	return limits ? limits : &nothing;
}

static struct tenant *find(const struct tenants *tenants, const char *name)
{
	struct tenant *t;

	TAILQ_FOREACH(t, &tenants->list, entry)
	{
		if (!strcmp(t->name, name))
			return t;
	}
	return NULL;
}

static struct tenant *add(struct tenants *tenants, const char *name)
{
	struct tenant *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	tenant_init(t, tenants, name, limits_of(tenants, name));
	TAILQ_INSERT_TAIL(&tenants->list, t, entry);
	return t;
}

static void drop(struct tenant *t)
{
	TAILQ_REMOVE(&t->tenants->list, t, entry);
	tenant_limit(t, &nothing);
	free(t);
}

void tenants_init(struct tenants *tenants, struct slab_pool *pool)
{
	*tenants = (struct tenants){ .pool = pool };
	TAILQ_INIT(&tenants->list);
}

static void free_file(struct tenantfile *file)
{
	if (file)
		tenantfile_free(file);
	free(file);
}

void tenants_close(struct tenants *tenants)
{
	while (!TAILQ_EMPTY(&tenants->list))
		drop(TAILQ_FIRST(&tenants->list));
	free_file(tenants->file);
	tenants->file = NULL;
}

/* --- the file --- */

static bool check_guarantees(const struct tenants *tenants,
			     const struct tenantfile *file, struct error *why)
{
	uint64_t slab_bytes = tenants->pool->slab_bytes;
	uint64_t slabs = 0;

	for (unsigned i = 0; i < file->n; i++)
		slabs += file->lines[i].limits.guaranteed_bytes / slab_bytes;
	if (slabs <= tenants->pool->count)
		return true;
	error_set(why,
		  "guaranteed= of all lines adds up to %s: allowed is at most "
		  "--memory=%s",
		  size_format(slabs * slab_bytes).text,
		  size_format(tenants->pool->count * slab_bytes).text);
	return false;
}

/* Gives each tenant that there is the limits of tenants->file. */
static void apply_limits(struct tenants *tenants)
{
	struct tenant *next;

	for (struct tenant *t = TAILQ_FIRST(&tenants->list); t; t = next) {
		struct tenantfile_line *line =
			tenantfile_line(tenants->file, t->name);

		next = TAILQ_NEXT(t, entry);
		tenant_limit(t, limits_of(tenants, t->name));
		t->listed = line;
		if (line)
			line->has_tenant = true;
		else if (!t->users && !t->reserved_bytes)
			drop(t);
	}
}

/* A guarantee counts before the first session.  A tenant for which memory is
 * short is added with its first session instead. */
static void add_tenants(struct tenants *tenants)
{
	for (unsigned i = 0; i < tenants->file->n; i++) {
		const struct tenantfile_line *line = &tenants->file->lines[i];
		struct tenant *t =
			line->has_tenant ? NULL : add(tenants, line->name);

		if (t)
			t->listed = true;
	}
}

int tenants_read(struct tenants *tenants, const char *path, struct error *why)
{
	struct tenantfile *file = calloc(1, sizeof *file);
	struct error detail = { "out of memory" };
	int rc = file ? tenantfile_read(path, file, &detail) : -ENOMEM;

	if (!rc && !check_guarantees(tenants, file, &detail))
		rc = -ENOSPC;
	if (rc) {
		error_set(why, "--tenants=%.80s: %.160s", path, detail.text);
		free_file(file);
		return rc;
	}
	free_file(tenants->file);
	tenants->file = file;
	apply_limits(tenants);
	add_tenants(tenants);
	return 0;
}

unsigned tenants_listed(const struct tenants *tenants)
{
	return tenants->file ? tenants->file->n : 0;
}

/* --- reservations --- */

static int by_name(const void *a, const void *b)
{
	const struct tenants_reservation *first = a, *second = b;

	return strcmp(first->name, second->name);
}

static struct tenants_reservation *
reservation_of(struct tenants_reservation *list, unsigned n, const char *name)
{
	struct tenants_reservation key = { .bytes = 0 };

	snprintf(key.name, sizeof key.name, "%s", name);
	return n ? bsearch(&key, list, n, sizeof *list, by_name) : NULL;
}

void tenants_reserve(struct tenants *tenants, struct tenants_reservation *list,
		     unsigned n)
{
	struct tenant *next;

	for (unsigned i = 0; i < n; i++)
		list[i].has_tenant = false;
	for (struct tenant *t = TAILQ_FIRST(&tenants->list); t; t = next) {
		struct tenants_reservation *r =
			reservation_of(list, n, t->name);

		next = TAILQ_NEXT(t, entry);
		tenant_reserve(t, r ? r->bytes : 0, r ? r->over_bytes : 0);
		if (r)
			r->has_tenant = true;
		else if (!t->users && !t->listed)
			drop(t);
	}
	/* They count before the first session. */
	for (unsigned i = 0; i < n; i++) {
		struct tenant *t =
			list[i].has_tenant ? NULL : add(tenants, list[i].name);

		if (t)
			tenant_reserve(t, list[i].bytes, list[i].over_bytes);
	}
}

uint64_t tenants_unreserved_bytes(const struct tenants *tenants)
{
	const struct tenant *t;
	uint64_t bytes = 0;

	TAILQ_FOREACH(t, &tenants->list, entry)
	{
		bytes += tenant_unreserved_bytes(t);
	}
	return bytes;
}

/* --- sessions --- */

static bool has_line(const struct tenants *tenants, const char *name,
		     struct error *why)
{
	if (limits_of(tenants, name) != &nothing)
		return true;
	error_set(why,
		  "identity %s is not in the file of --tenants, which has no "
		  "line * either",
		  name);
	return false;
}

bool tenants_know(const struct tenants *tenants, const char *identity,
		  struct error *why)
{
	const char *name = name_of(identity);
	const struct tenant *t = find(tenants, name);

	return (t && t->users) || has_line(tenants, name, why);
}

struct tenant *tenants_enter(struct tenants *tenants, const char *identity,
			     int *err, struct error *why)
{
	const char *name = name_of(identity);
	struct tenant *t = find(tenants, name);

	if (!has_line(tenants, name, why)) {
		*err = -EACCES;
		return NULL;
	}
	if (!t)
		t = add(tenants, name);
	if (!t) {
		error_set(why, "the server is out of memory");
		*err = -ENOMEM;
		return NULL;
	}
	t->users++;
	return t;
}

void tenants_leave(struct tenant *t)
{
	if (!--t->users && !t->listed && !t->reserved_bytes)
		drop(t);
}

uint64_t tenants_free_bytes(struct tenants *tenants, const char *identity)
{
	const char *name = name_of(identity);
	struct tenant *t = find(tenants, name);
	struct tenant newcomer = { .tenants = tenants,
				   .limits = *limits_of(tenants, name) };

	return tenant_free_bytes(t ? t : &newcomer);
}
