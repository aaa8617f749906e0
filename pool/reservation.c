#include "reservation.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "jsonout.h"
#include "value.h"

/* --- keys --- */

void reservation_id_draw(char id[RESERVATION_ID_BYTES])
{
	uint64_t n[2] = { 0, 0 };

	/* Before the kernel has random bytes: a machine starts devices one
	 * after the other. */
	if (getrandom(n, sizeof n, GRND_NONBLOCK) != sizeof n)
		n[0] = clock_now_ns();
	snprintf(id, RESERVATION_ID_BYTES, "%016llx%016llx",
		 (unsigned long long)n[0], (unsigned long long)n[1]);
}

bool reservation_id_ok(const char *id)
{
	return strlen(id) == RESERVATION_ID_BYTES - 1 &&
	       strspn(id, "0123456789abcdef") == RESERVATION_ID_BYTES - 1;
}

struct pool_key reservation_server_prefix(const struct pool *pool,
					  const char *address)
{
	return pool_key(pool, "reserved/%s/", address);
}

struct pool_key reservation_identity_prefix(const struct pool *pool,
					    const char *identity)
{
	return pool_key(pool, "reserving/%s/", identity);
}

struct pool_key quota_key(const struct pool *pool, const char *identity)
{
	return pool_key(pool, "tenants/%s", identity);
}

struct pool_key settings_key(const struct pool *pool)
{
	return pool_key(pool, "settings");
}

/* --- writing --- */

void reservation_write(const struct reservation *r, FILE *out)
{
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "identity", r->identity);
	if (*r->machine)
		jsonout_text(&j, "machine", r->machine);
	jsonout_number(&j, "bytes", r->bytes);
	jsonout_end(&j, '}');
}

static void write_number(const char *name, uint64_t n, FILE *out)
{
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_number(&j, name, n);
	jsonout_end(&j, '}');
}

void quota_write(uint64_t reserve_bytes, FILE *out)
{
	write_number("reserve_bytes", reserve_bytes, out);
}

void settings_write(const struct pool_settings *settings, FILE *out)
{
	write_number("overcommit_permille", settings->overcommit_permille, out);
}

/* --- reading --- */

static int refuse(const char *wrong, const char *what, struct error *why)
{
	error_set(why, "its %s is not that of %s", wrong, what);
	return -EINVAL;
}

int reservation_parse(const char *value, struct reservation *r,
		      struct error *why)
{
	struct json_object *object = value_parse(value);
	const char *wrong = NULL;

	*r = (struct reservation){ .bytes = 0 };
	if (!object)
		wrong = "whole value";
	else if (!value_text(object, "identity", r->identity,
			     sizeof r->identity) ||
		 !*r->identity)
		wrong = "identity";
	else if (!value_text(object, "machine", r->machine, sizeof r->machine))
		wrong = "machine";
	else if (!value_number(object, "bytes", INT64_MAX, &r->bytes) ||
		 !r->bytes)
		wrong = "bytes";
	json_object_put(object);
	return wrong ? refuse(wrong, "a reservation", why) : 0;
}

/* A number that has to be there. */
static int parse_number(const char *value, const char *name, uint64_t max,
			uint64_t *n, const char *what, struct error *why)
{
	struct json_object *object = value_parse(value);
	const char *wrong = NULL;

	*n = 0;
	if (!object)
		wrong = "whole value";
	else if (!json_object_object_get_ex(object, name, NULL) ||
		 !value_number(object, name, max, n))
		wrong = name;
	json_object_put(object);
	return wrong ? refuse(wrong, what, why) : 0;
}

int quota_parse(const char *value, uint64_t *reserve_bytes, struct error *why)
{
	return parse_number(value, "reserve_bytes", INT64_MAX, reserve_bytes,
			    "a quota", why);
}

int settings_parse(const char *value, struct pool_settings *settings,
		   struct error *why)
{
	uint64_t permille;
	int rc = parse_number(value, "overcommit_permille",
			      SETTINGS_OVERCOMMIT_MAX, &permille, "settings",
			      why);

	settings->overcommit_permille = SETTINGS_OVERCOMMIT_DEFAULT;
	if (rc)
		return rc;
	if (permille < SETTINGS_OVERCOMMIT_MIN)
		return refuse("overcommit_permille", "settings", why);
	settings->overcommit_permille = (uint32_t)permille;
	return 0;
}

bool overcommit_parse(const char *text, uint32_t *permille)
{
	size_t whole = strspn(text, "0123456789");
	const char *digits = text[whole] == '.' ? text + whole + 1 : "";
	size_t n = strspn(digits, "0123456789");
	uint32_t value = 0;

	if (!whole || whole > 3 || n > 3 || digits[n] || (text[whole] && !n))
		return false;
	for (size_t i = 0; i < whole; i++)
		value = value * 10 + (uint32_t)(text[i] - '0');
	for (size_t i = 0; i < 3; i++)
		value = value * 10 + (i < n ? (uint32_t)(digits[i] - '0') : 0);
	*permille = value;
	return value >= SETTINGS_OVERCOMMIT_MIN &&
	       value <= SETTINGS_OVERCOMMIT_MAX;
}
