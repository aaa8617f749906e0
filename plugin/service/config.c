#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "clock.h"
#include "size.h"
#include "times.h"

#define LANES_DEFAULT	   16
#define LANES_MAX	   256
#define SPIN_MAX_US	   1000
#define REPAIR_AFTER_MAX_S 3600
#define TIMEOUT_MAX_S	   600
#define REPAIR_MIN_BYTES   (UINT64_C(1) << 20)
#define SIZE_MAX_BYTES	   (UINT64_C(1) << 50)

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
	"timeout=SECONDS        Deadline of a request, 1 to 600 (default 90).\n"
	"control=PATH           Unix socket that rswapctl status asks.\n"
	"replicas=N             Copies of each page, on as many servers, 1 to "
	"4\n"
	"                       (default 1).\n"
	"redundancy=K+M         Instead: K shares of each page and M of "
	"parity,\n"
	"                       on K+M servers; any M of them may be lost.\n"
	"                       K from 2 to 8, M from 1 to 4.\n"
	"checksum=BOOL          Check what is read (default true).\n"
	"fallback=PATH          A file or disk for what no server has room "
	"for.\n"
	"fallback-size=SIZE     How much of it (default: the disk's or file's\n"
	"                       size; size= for a new file).\n"
	"repair-rate=SIZE       How many bytes of pages a second are copied "
	"at\n"
	"                       most to repair or to move; 0: no limit\n"
	"                       (default 128M).\n"
	"repair-after=SECONDS   How long a server may be away until its copies "
	"are\n"
	"                       begun elsewhere, 1 to 3600 (default 10).\n"
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
	struct error why;

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
static int key_bool(const char *key, const char *value, bool *set)
{
	static const char *const words[2][3] = { { "0", "false", "off" },
						 { "1", "true", "on" } };

	for (size_t i = 0; i < 6; i++) {
		if (!strcmp(value, words[i / 3][i % 3])) {
			*set = i / 3;
			return 0;
		}
	}
	return wrong(key, value, "a boolean: 1 or 0, true or false, on or off");
}

static int key_strict(struct config *config, const char *value)
{
	return key_bool("strict", value, &config->strict);
}

static int key_checksum(struct config *config, const char *value)
{
	return key_bool("checksum", value, &config->engine.checksum);
}

static int key_replicas(struct config *config, const char *value)
{
	uint64_t n;

	if (!number_parse(value, 1, REDUNDANCY_MAX_COPIES, &n))
		return wrong("replicas", value, "a number from 1 to 4");
	config->engine.copies = (uint32_t)n;
	return 0;
}

static int key_redundancy(struct config *config, const char *value)
{
	if (!redundancy_parse(value, &config->engine.data,
			      &config->engine.parity))
		return wrong("redundancy", value,
			     "K+M, with K from 2 to 8 and M from 1 to 4");
	return 0;
}

static int key_repair_rate(struct config *config, const char *value)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes) || (bytes && bytes < REPAIR_MIN_BYTES))
		return wrong("repair-rate", value,
			     "bytes a second with K, M, G or T behind it, at "
			     "least 1M, or 0 for no limit");
	config->engine.repair_bytes_per_s = bytes;
	return 0;
}

static int key_repair_after(struct config *config, const char *value)
{
	uint64_t s;

	if (!number_parse(value, 1, REPAIR_AFTER_MAX_S, &s))
		return wrong("repair-after", value, "seconds from 1 to 3600");
	config->engine.repair_after_ns = s * NS_PER_S;
	return 0;
}

static int key_fallback(struct config *config, const char *value)
{
	if (!*value)
		return wrong("fallback", value,
			     "the path of a file or a block device");
	free(config->fallback_path);
	config->fallback_path = nbdkit_absolute_path(value);
	config->engine.fallback = config->fallback_path;
	return config->fallback_path ? 0 : -1;
}

static int key_fallback_size(struct config *config, const char *value)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes) || bytes == 0 || bytes > SIZE_MAX_BYTES)
		return wrong("fallback-size", value,
			     "a number with K, M, G or T behind it, at most "
			     "1024T");
	config->engine.fallback_bytes = bytes;
	return 0;
}

static const struct {
	const char *key;
	int (*take)(struct config *config, const char *value);
} keys[] = {
	{ "server", key_server },
	{ "size", key_size },
	{ "lanes", key_lanes },
	{ "transport", key_transport },
	{ "spin", key_spin },
	{ "timeout", key_timeout },
	{ "control", key_control },
	{ "strict", key_strict },
	{ "replicas", key_replicas },
	{ "redundancy", key_redundancy },
	{ "checksum", key_checksum },
	{ "repair-rate", key_repair_rate },
	{ "repair-after", key_repair_after },
	{ "fallback", key_fallback },
	{ "fallback-size", key_fallback_size },
};

int config_key(struct config *config, const char *key, const char *value)
{
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (!strcmp(key, keys[i].key))
			return keys[i].take(config, value);
	}
	nbdkit_error("%s=%s: there is no such key; the keys are server, size, "
		     "transport, lanes, spin, timeout, control, replicas, "
		     "redundancy, checksum, fallback, fallback-size, "
		     "repair-rate, repair-after and strict",
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

static uint32_t shards_of(const struct engine_config *e)
{
	return e->data ? e->data + e->parity : e->copies;
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
	if (e->copies && e->data) {
		nbdkit_error("replicas=%u and redundancy=%u+%u are both given: "
			     "one of them is allowed",
			     e->copies, e->data, e->parity);
		return -1;
	}
	if (e->fallback && e->data) {
		nbdkit_error("fallback=%s and redundancy=%u+%u are both given: "
			     "a fallback goes with replicas only",
			     e->fallback, e->data, e->parity);
		return -1;
	}
	if (e->fallback_bytes && !e->fallback) {
		nbdkit_error("fallback-size is given without fallback: it is "
			     "the size of fallback=PATH");
		return -1;
	}
	if (!e->copies)
		e->copies = 1;
	if (e->n_servers < shards_of(e)) {
		nbdkit_error("%s needs %u servers, each for a part of a page: "
			     "%u %s given",
			     e->data ? "redundancy" : "replicas", shards_of(e),
			     e->n_servers, e->n_servers == 1 ? "is" : "are");
		return -1;
	}
	if (!e->lanes)
		e->lanes = LANES_DEFAULT;
	if (!e->timeout_ns)
		e->timeout_ns = TIMES_TIMEOUT_S * NS_PER_S;
	if (!e->repair_after_ns)
		e->repair_after_ns = TIMES_REPAIR_AFTER_S * NS_PER_S;
	if (config->spin_auto)
		e->spin_ns = cores() >= SPIN_MIN_CORES ? SPIN_AUTO_NS : 0;
	return 0;
}

void config_free(struct config *config)
{
	free(config->engine.servers);
	free(config->control_path);
	free(config->fallback_path);
}
