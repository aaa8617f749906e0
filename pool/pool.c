#include "pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "etcd://"

static bool name_is_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");

	return n > 0 && n < POOL_NAME_BYTES && !name[n];
}

/* The host at *TEXT, which ends with a comma or at END; *TEXT moves behind it.
 */
static bool take_host(const char **text, const char *end, struct pool *pool)
{
	struct etcd_config *etcd = &pool->etcd;
	const char *comma = memchr(*text, ',', (size_t)(end - *text));
	const char *stop = comma ? comma : end;
	size_t length = (size_t)(stop - *text);
	struct net_name *host = &etcd->endpoints[etcd->n_endpoints];
	char one[sizeof host->host + 16];
	struct error why;

	if (etcd->n_endpoints == ETCD_ENDPOINTS_MAX || length >= sizeof one)
		return false;
	memcpy(one, *text, length);
	one[length] = '\0';
	*text = comma ? comma + 1 : end;
	etcd->n_endpoints++;
	return (!comma || *text < end) &&
	       net_name_parse(one, ETCD_DEFAULT_PORT, host, &why) && host->port;
}

bool pool_set_url(struct pool *pool, const char *url)
{
	struct pool new = *pool;
	const char *slash;

	if (strncmp(url, SCHEME, strlen(SCHEME)))
		return false;
	url += strlen(SCHEME);
	slash = strchr(url, '/');
	if (!slash || slash == url || !name_is_ok(slash + 1))
		return false;
	new.etcd.n_endpoints = 0;
	while (url < slash) {
		if (!take_host(&url, slash, &new))
			return false;
	}
	snprintf(new.name, sizeof new.name, "%s", slash + 1);
	*pool = new;
	return true;
}

bool pool_check_files(const struct pool *pool, const char *prefix,
		      struct error *why)
{
	const struct etcd_config *etcd = &pool->etcd;

	if (!etcd->cert != !etcd->key)
		error_set(why,
			  "%spool-%s is given without %spool-%s: both or none "
			  "are allowed",
			  prefix, etcd->cert ? "cert" : "key", prefix,
			  etcd->cert ? "key" : "cert");
	else if (etcd->cert && !etcd->ca)
		error_set(why,
			  "%spool-cert=%.80s: allowed only with %spool-ca=FILE",
			  prefix, etcd->cert, prefix);
	else
		return true;
	return false;
}

struct pool_key pool_key(const struct pool *pool, const char *format, ...)
{
	struct pool_key key;
	int n = snprintf(key.text, sizeof key.text, "/rswap/1/%s/", pool->name);
	va_list args;

	va_start(args, format);
	vsnprintf(key.text + n, sizeof key.text - (size_t)n, format, args);
	va_end(args);
	return key;
}

static struct pool_prefix prefix_of(const struct pool *pool, const char *kind)
{
	struct pool_prefix prefix;

	snprintf(prefix.text, sizeof prefix.text, "/rswap/1/%s/%s/", pool->name,
		 kind);
	return prefix;
}

struct pool_prefix pool_servers_prefix(const struct pool *pool)
{
	return prefix_of(pool, "servers");
}

struct pool_prefix pool_orders_prefix(const struct pool *pool)
{
	return prefix_of(pool, "orders");
}
