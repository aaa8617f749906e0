#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "clock.h"
#include "size.h"

#define LANES_DEFAULT	  16
#define LANES_MAX	  256
#define SPIN_MAX_US	  1000
#define TIMEOUT_DEFAULT_S 30
#define TIMEOUT_MAX_S	  600
#define SIZE_MAX_BYTES	  (UINT64_C(1) << 50)

/* A spin pays where the answer comes sooner than a sleep and a wake-up take,
 * and where another core does the work meanwhile. */
#define SPIN_AUTO_NS   (20 * NS_PER_US)
#define SPIN_MIN_CORES 4

const char config_help[] =
	"[server=]HOST[:PORT]   (required) A memory server; repeatable.\n"
	"size=SIZE              (required) The size of the device.\n"
	"transport=auto|rdma|tcp\n"
	"                       How pages travel (default auto).\n"
	"lanes=N                Requests in flight, 1 to 256 (default 16).\n"
	"spin=auto|MICROSECONDS How long to spin for an answer before\n"
	"                       sleeping, 0 to 1000 (default auto).\n"
	"timeout=SECONDS        Deadline of a request, 1 to 600 (default 30).\n"
	"control=PATH           Unix socket that rswapctl status asks.\n"
	"strict=BOOL            Refuse to start where a swap safety setting\n"
	"                       is refused (default false).";

static int wrong(const char *key, const char *value, const char *allowed)
{
	nbdkit_error("%s=%s is not allowed: it must be %s", key, value,
		     allowed);
	return -1;
}

static int key_server(struct config *config, const char *value)
{
	struct engine_config *e = &config->engine;
	struct net_name *servers;
	struct reason why;

	servers = realloc(e->servers, (e->n_servers + 1) * sizeof *servers);
	if (!servers) {
		nbdkit_error("server=%s: out of memory", value);
		return -1;
	}
	e->servers = servers;
	if (!net_name_parse(value, WIRE_DEFAULT_PORT, &servers[e->n_servers],
			    &why) ||
	    servers[e->n_servers].port == 0)
		return wrong("server", value,
			     "HOST[:PORT], with a port from 1 to 65535");
	e->n_servers++;
	return 0;
}

static int key_size(struct config *config, const char *value)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes) || bytes == 0 ||
	    bytes > SIZE_MAX_BYTES || bytes % PAGE_BYTES != 0)
		return wrong("size", value,
			     "a number with K, M, G or T behind it, a multiple "
			     "of 4096 bytes, at most 1024T");
	config->engine.size_bytes = bytes;
	return 0;
}

static int key_transport(struct config *config, const char *value)
{
	if (!strcmp(value, "auto")) {
		config->engine.transport = NULL;
		return 0;
	}
	config->engine.transport = transport_by_name(value);
	return config->engine.transport
		       ? 0
		       : wrong("transport", value, "auto, rdma or tcp");
}

static int key_lanes(struct config *config, const char *value)
{
	uint64_t n;

	if (!number_parse(value, 1, LANES_MAX, &n))
		return wrong("lanes", value, "a number from 1 to 256");
	config->engine.lanes = (uint32_t)n;
	return 0;
}

static int key_spin(struct config *config, const char *value)
{
	uint64_t us = 0;

	config->spin_auto = !strcmp(value, "auto");
	if (!config->spin_auto && !number_parse(value, 0, SPIN_MAX_US, &us))
		return wrong("spin", value,
			     "auto or microseconds from 0 to 1000");
	config->engine.spin_ns = us * NS_PER_US;
	return 0;
}

static int key_timeout(struct config *config, const char *value)
{
	uint64_t s;

	if (!number_parse(value, 1, TIMEOUT_MAX_S, &s))
		return wrong("timeout", value, "seconds from 1 to 600");
	config->engine.timeout_ns = s * NS_PER_S;
	return 0;
}

static int key_control(struct config *config, const char *value)
{
	if (!*value)
		return wrong("control", value, "the path of a socket");
	free(config->control_path);
	config->control_path = nbdkit_absolute_path(value);
	return config->control_path ? 0 : -1;
}

/* Not nbdkit_parse_bool: it has a message of its own, without the key. */
static int key_strict(struct config *config, const char *value)
{
	static const char *const words[2][3] = { { "0", "false", "off" },
						 { "1", "true", "on" } };

	for (size_t i = 0; i < 6; i++) {
		if (!strcmp(value, words[i / 3][i % 3])) {
			config->strict = i / 3;
			return 0;
		}
	}
	return wrong("strict", value,
		     "a boolean: 1 or 0, true or false, on or off");
}

static const struct {
	const char *key;
	int (*take)(struct config *config, const char *value);
} keys[] = {
	{ "server", key_server },   { "size", key_size },
	{ "lanes", key_lanes },	    { "transport", key_transport },
	{ "spin", key_spin },	    { "timeout", key_timeout },
	{ "control", key_control }, { "strict", key_strict },
};

int config_key(struct config *config, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (!strcmp(key, keys[i].key))
			return keys[i].take(config, value);
	}
	nbdkit_error("%s=%s: there is no such key; the keys are server, size, "
		     "transport, lanes, spin, timeout, control and strict",
		     key, value);
	return -1;
}

static unsigned cores(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set)
		       ? 1
		       : (unsigned)CPU_COUNT(&set);
}

int config_complete(struct config *config)
{
	struct engine_config *e = &config->engine;

	if (e->n_servers == 0) {
		nbdkit_error("server is missing: server=HOST[:PORT] names a "
			     "memory server");
		return -1;
	}
	if (e->size_bytes == 0) {
		nbdkit_error("size is missing: size=SIZE is the size of the "
			     "device, 64G for example");
		return -1;
	}
	if (!e->lanes)
		e->lanes = LANES_DEFAULT;
	if (!e->timeout_ns)
		e->timeout_ns = TIMEOUT_DEFAULT_S * NS_PER_S;
	if (config->spin_auto)
		e->spin_ns = cores() >= SPIN_MIN_CORES ? SPIN_AUTO_NS : 0;
	return 0;
}

void config_free(struct config *config)
{
	free(config->engine.servers);
	free(config->control_path);
}
