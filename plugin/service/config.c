#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "concurrency.h"
#include "httpd.h"
#include "pages/seal.h"

/* Spinning pays only if the answer comes sooner than a sleep and a wake-up
 * take, and if another core does the work meanwhile. */
#define SPIN_AUTO_NS   (20 * NS_PER_US)
#define SPIN_MIN_CORES 4

_Static_assert(KEYS_COPIES_MAX == REDUNDANCY_MAX_COPIES, "replicas");
_Static_assert(KEYS_SIZE_MAX_BYTES / PAGE_BYTES <= UINT64_C(1)
							   << SEAL_PAGE_BITS,
	       "a nonce has no room for the number of each page");

char config_help[4096];

void config_fill_help(void)
{
	size_t used = 0;

	for (int id = 0; id < KEYS && used < sizeof config_help; id++) {
		char left[40];

		snprintf(left, sizeof left, "%s=%s", keys[id].name,
			 keys[id].metavar);
		used += (size_t)snprintf(
			config_help + used, sizeof config_help - used,
			"%s%-23s %s%s", id ? "\n" : "", left, keys[id].help,
			key_range(&keys[id]).text);
	}
}

__attribute__((format(printf, 2, 3))) static int refuse(struct config *config,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(config->why, sizeof config->why, format, args);
	va_end(args);
	return -1;
}

static int wrong(struct config *config, const struct key *key,
		 const char *value)
{
	return refuse(config, "%s=%s is not allowed: it must be %s", key->name,
		      value, key_allowed(key).text);
}

static int take_server(struct config *config, const struct key *key,
		       const char *value)
{
	struct engine_config *e = &config->engine;
	struct net_name *servers;
	struct error why;

	servers = realloc(e->servers, (e->n_servers + 1) * sizeof *servers);
	if (!servers)
		return refuse(config, "server=%s: out of memory", value);
	e->servers = servers;
	if (!net_name_parse(value, WIRE_DEFAULT_PORT, &servers[e->n_servers],
			    &why) ||
	    servers[e->n_servers].port == 0)
		return wrong(config, key, value);
	e->n_servers++;
	return 0;
}

/* Makes VALUE absolute, because a front end may change to the root directory
 * before the engine opens the file. */
static int take_path(struct config *config, char **path, const char *value)
{
	char *here = value[0] == '/' ? NULL : get_current_dir_name();

	free(*path);
	*path = NULL;
	if (value[0] != '/' && !here)
		return refuse(config, "%s: the working directory: %s", value,
			      strerror(errno));
	if (asprintf(path, "%s%s%s", here ? here : "", here ? "/" : "", value) <
	    0)
		*path = NULL;
	free(here);
	return *path ? 0 : refuse(config, "%s: out of memory", value);
}

static int take_fallback(struct config *config, const char *value)
{
	int rc = take_path(config, &config->fallback_path, value);

	config->engine.fallback = config->fallback_path;
	return rc;
}

static int take_pool(struct config *config, const struct key *key,
		     const char *value)
{
	if (!pool_set_url(&config->pool, value))
		return wrong(config, key, value);
	free(config->pool_url);
	config->pool_url = strdup(value);
	return config->pool_url
		       ? 0
		       : refuse(config, "pool=%s: out of memory", value);
}

/* FILE is the pool's, and PATH has its value. */
static int take_pool_file(struct config *config, const char **file, char **path,
			  const char *value)
{
	int rc = take_path(config, path, value);

	*file = *path;
	return rc;
}

static int take_identity(struct config *config, const struct key *key,
			 const char *value)
{
	if (!psk_name_ok(value))
		return wrong(config, key, value);
	snprintf(config->identity, sizeof config->identity, "%s", value);
	return 0;
}

/* KEY allows VALUE, and key_parse gave NUMBER.  The compiler warns of a key
 * that has no case. */
static int take(struct config *config, const struct key *key, const char *value,
		uint64_t number)
{
	struct engine_config *e = &config->engine;
	struct etcd_config *etcd = &config->pool.etcd;

	switch ((enum key_id)(key - keys)) {
	case KEY_SERVER:
		return take_server(config, key, value);
	case KEY_POOL:
		return take_pool(config, key, value);
	case KEY_SERVERS_MAX:
		e->servers_max = (uint32_t)number;
		break;
	case KEY_POOL_CA:
		return take_pool_file(config, &etcd->ca, &config->pool_ca,
				      value);
	case KEY_POOL_CERT:
		return take_pool_file(config, &etcd->cert, &config->pool_cert,
				      value);
	case KEY_POOL_KEY:
		return take_pool_file(config, &etcd->key, &config->pool_key,
				      value);
	case KEY_POOL_LOGIN:
		return take_pool_file(config, &etcd->login, &config->pool_login,
				      value);
	case KEY_POOL_STATE:
		return take_path(config, &config->pool_state, value);
	case KEY_POOL_RESERVE:
		config->pool_reserve_bytes = number;
		e->is_reserved = number == CONFIG_RESERVE_ALL;
		break;
	case KEY_SIZE:
		e->size_bytes = number;
		break;
	case KEY_TRANSPORT:
		e->transport = transport_by_name(value); /* auto: NULL */
		break;
	case KEY_LANES:
		e->lanes = (uint32_t)number; /* auto: 0 */
		break;
	case KEY_SPIN:
		config->spin_auto = !strcmp(value, key->word);
		e->spin_ns = number * NS_PER_US;
		break;
	case KEY_TIMEOUT:
		e->timeout_ns = number * NS_PER_S;
		break;
	case KEY_CONTROL:
		return take_path(config, &config->control_path, value);
	case KEY_METRICS:
		return httpd_name_parse(value, &config->metrics)
			       ? 0
			       : wrong(config, key, value);
	case KEY_PSK_FILE:
		return take_path(config, &config->psk_path, value);
	case KEY_IDENTITY:
		return take_identity(config, key, value);
	case KEY_REPLICAS:
		e->redundancy.copies = (uint32_t)number;
		break;
	case KEY_REDUNDANCY:
		return redundancy_parse(value, &e->redundancy.data,
					&e->redundancy.parity)
			       ? 0
			       : wrong(config, key, value);
	case KEY_ENCRYPT:
		e->encrypt = number;
		break;
	case KEY_CHECKSUM:
		e->checksum = number;
		break;
	case KEY_FALLBACK:
		return take_fallback(config, value);
	case KEY_FALLBACK_SIZE:
		e->fallback_bytes = number;
		break;
	case KEY_REPAIR_RATE:
		e->repair_bytes_per_s = number;
		break;
	case KEY_REPAIR_AFTER:
		e->repair_after_ns = number * NS_PER_S;
		break;
	case KEY_STRICT:
		config->strict = number;
		break;
	case KEYS:
		break;
	}
	return 0;
}

int config_key(struct config *config, const char *name, const char *value)
{
	const struct key *key = key_find(name);
	char names[512];
	uint64_t number;
	int rc;

	if (!key) {
		keys_names(", ", names, sizeof names);
		return refuse(config,
			      "%s=%s: there is no such key; the keys are %s",
			      name, value, names);
	}
	if (!key_parse(key, value, &number))
		return wrong(config, key, value);
	rc = take(config, key, value, number);
	if (!rc)
		config->given[key - keys] = true;
	return rc;
}

/* What goes with a pool only. */
static int check_pool(struct config *config)
{
	static const enum key_id ids[] = { KEY_SERVERS_MAX, KEY_POOL_CA,
					   KEY_POOL_CERT,   KEY_POOL_KEY,
					   KEY_POOL_LOGIN,  KEY_POOL_STATE,
					   KEY_POOL_RESERVE };
	struct error why;

	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		if (config->given[ids[i]] && !config->given[KEY_POOL])
			return refuse(config,
				      "%s is given without pool: it is of "
				      "pool=%s",
				      keys[ids[i]].name,
				      keys[KEY_POOL].metavar);
	}
	if (!pool_check_files(&config->pool, "", &why))
		return refuse(config, "%s", why.text);
	return 0;
}

/* Checks that need all keys. */
static int check_together(struct config *config)
{
	const struct redundancy_config *r = &config->engine.redundancy;
	const bool *given = config->given;
	/* The fallback counts as one. */
	uint32_t servers = config->engine.n_servers + given[KEY_FALLBACK];

	if (!given[KEY_SERVER] && !given[KEY_POOL])
		return refuse(config,
			      "server is missing: server=HOST[:PORT] names a "
			      "memory server, and pool=etcd://HOST.../NAME "
			      "many");
	if (!given[KEY_SIZE])
		return refuse(config,
			      "size is missing: size=SIZE is the size of the "
			      "device, 64G for example");
	if (given[KEY_REPLICAS] && given[KEY_REDUNDANCY])
		return refuse(
			config,
			"replicas=%u and redundancy=%u+%u are both given: "
			"one of them is allowed",
			r->copies, r->data, r->parity);
	if (given[KEY_FALLBACK] && given[KEY_REDUNDANCY])
		return refuse(
			config,
			"fallback=%s and redundancy=%u+%u are both given: "
			"a fallback goes with replicas only",
			config->engine.fallback, r->data, r->parity);
	if (given[KEY_FALLBACK_SIZE] && !given[KEY_FALLBACK])
		return refuse(config,
			      "fallback-size is given without fallback: it is "
			      "the size of fallback=PATH");
	if (given[KEY_IDENTITY] && !given[KEY_PSK_FILE])
		return refuse(
			config,
			"identity=%s is given without psk-file: it is the "
			"name of a key in psk-file=FILE",
			config->identity);
	if (check_pool(config))
		return -1;
	if (servers > SLAB_SERVERS_MAX)
		return refuse(config, "%u servers are given%s: %u are allowed",
			      servers,
			      given[KEY_FALLBACK] ? ", the fallback included"
						  : "",
			      SLAB_SERVERS_MAX);
	return 0;
}

static void set_defaults(struct config *config)
{
	for (int id = 0; id < KEYS; id++) {
		const struct key *key = &keys[id];

		if (!config->given[id] && key->preset)
			take(config, key, key->preset,
			     key_number((enum key_id)id, NULL));
	}
	if (!config->requests)
		config->requests = concurrency_requests_here();
	if (!config->engine.lanes)
		config->engine.lanes = concurrency_lanes(config->requests);
	if (config->spin_auto)
		config->engine.spin_ns =
			concurrency_processors() >= SPIN_MIN_CORES
				? SPIN_AUTO_NS
				: 0;
}

/* Only the key that is used stays in memory. */
static int take_key(struct config *config)
{
	const char *identity = config->identity[0] ? config->identity : NULL;
	struct error why;

	if (!config->psk_path)
		return 0;
	config->tls = tls_client_read(config->psk_path, identity, &why);
	config->engine.tls = config->tls;
	if (config->tls)
		return 0;
	return refuse(config, "psk-file=%s%s%s: %s", config->psk_path,
		      identity ? ", identity=" : "", identity ? identity : "",
		      why.text);
}

/* Whether there are, or may be, as many servers as it takes.  Those of a pool
 * are not known yet. */
static int check_numbers(struct config *config)
{
	struct engine_config *e = &config->engine;
	const struct redundancy_config *r = &e->redundancy;
	uint32_t shards = redundancy_shards(r);

	if (!config->given[KEY_POOL]) {
		e->servers_max = 0;
		if (e->n_servers >= shards)
			return 0;
		return refuse(config,
			      "%s needs %u servers, each for a part of a page: "
			      "%u %s given",
			      redundancy_format(r).key, shards, e->n_servers,
			      e->n_servers == 1 ? "is" : "are");
	}
	if (e->servers_max < shards)
		return refuse(config,
			      "servers-max=%u is too few: %s needs %u servers, "
			      "each for a part of a page",
			      e->servers_max, redundancy_format(r).key, shards);
	if (e->servers_max < e->n_servers)
		return refuse(config,
			      "servers-max=%u is less than the %u servers that "
			      "are given by server=",
			      e->servers_max, e->n_servers);
	return 0;
}

int config_complete(struct config *config)
{
	const struct engine_config *e = &config->engine;

	if (check_together(config))
		return -1;
	set_defaults(config);
	if (e->encrypt && !e->checksum)
		return refuse(config,
			      "checksum=off and encrypt=on do not go together: "
			      "sealed pages are always checked");
	if (check_numbers(config))
		return -1;
	return take_key(config);
}

/* "KEY=VALUE", or the value of server=. */
static int take_word(struct config *config, char *word)
{
	size_t length = strspn(word, "abcdefghijklmnopqrstuvwxyz-0123456789_");
	bool has_key = length > 0 && word[length] == '=';
	int err;

	if (!has_key)
		return config_key(config, "server", word);
	word[length] = '\0';
	err = config_key(config, word, word + length + 1);
	/* WORD is what /proc/PID/cmdline shows, and by it rswapctl finds this
	 * process. */
	word[length] = '=';
	return err;
}

bool config_words(struct config *config, int n, char **words)
{
	for (int i = 0; i < n; i++) {
		if (take_word(config, words[i]))
			return false;
	}
	return !config_complete(config);
}

void config_free(struct config *config)
{
	free(config->engine.servers);
	free(config->pool_url);
	free(config->pool_ca);
	free(config->pool_cert);
	free(config->pool_key);
	free(config->pool_login);
	free(config->pool_state);
	free(config->control_path);
	free(config->fallback_path);
	free(config->psk_path);
	tls_context_free(config->tls);
}
