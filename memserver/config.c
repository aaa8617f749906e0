#include "config.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmdline.h"
#include "httpd.h"
#include "links/transports.h"
#include "size.h"
#include "times.h"
#include "wire.h"

#define MIB	       (1ull << 20)
#define SLAB_MIN_BYTES (1 * MIB)
#define SLAB_MAX_BYTES (1024 * MIB)
/* On a machine with transparent huge pages the kernel's swap code fills, and
 * discards, so many bytes at a time.  A small part would keep a larger slab. */
#define SLAB_BYTES (2 * MIB)
/* Memory that is kept ready, unless --stock is given. */
#define STOCK_BYTES	 (32 * MIB)
#define STOCK_PART	 16 /* of all memory, at most */
#define STOCK_MIN	 2u
#define STOCK_UNSET	 UINT_MAX
#define MEMORY_MAX_BYTES (1ull << 50)
#define THREADS_MAX	 256
#define THREADS_GUESS	 8
#define SESSIONS_MAX	 4096
#define STOCK_MAX	 1024
#define GRACE_MAX_S	 3600

/* Filled while the command line is parsed, by one thread. */
static struct config parsed;
static const char *transport;

/* --- values that the table has no kind for --- */

static bool take_listen(const char *value, struct error *allowed)
{
	struct error detail;

	if (parsed.listen_count == CONFIG_LISTEN_MAX) {
		error_set(allowed, "this option %d times at most",
			  CONFIG_LISTEN_MAX);
		return false;
	}
	if (!net_name_parse(value, WIRE_DEFAULT_PORT,
			    &parsed.listen[parsed.listen_count], &detail)) {
		error_set(allowed, "HOST, HOST:PORT or [IPV6]:PORT (%.80s)",
			  detail.text);
		return false;
	}
	parsed.listen_count++;
	return true;
}

static bool take_metrics(const char *value, struct error *allowed)
{
	error_set(allowed, HTTPD_NAME_ALLOWED);
	parsed.has_metrics = httpd_name_parse(value, &parsed.metrics);
	return parsed.has_metrics;
}

static bool take_pool(const char *value, struct error *allowed)
{
	error_set(allowed, POOL_URL_ALLOWED);
	return pool_set_url(&parsed.pool, value);
}

static bool take_pool_address(const char *value, struct error *allowed)
{
	struct error detail;

	if (net_name_parse(value, 0, &parsed.pool_address, &detail))
		return true;
	error_set(allowed, "HOST, HOST:PORT or [IPV6]:PORT (%.80s)",
		  detail.text);
	return false;
}

static bool take_slab_size(const char *value, struct error *allowed)
{
	uint64_t bytes;

	error_set(allowed, "a power of two from %s to %s",
		  size_format(SLAB_MIN_BYTES).text,
		  size_format(SLAB_MAX_BYTES).text);
	if (!size_parse(value, &bytes) || bytes < SLAB_MIN_BYTES ||
	    bytes > SLAB_MAX_BYTES || (bytes & (bytes - 1)))
		return false;
	parsed.slab_bytes = bytes;
	return true;
}

static bool take_zone(const char *value, struct error *allowed)
{
	size_t length = strlen(value);

	error_set(allowed, "1 to %zu printable ASCII characters without spaces",
		  sizeof parsed.zone - 1);
	if (length < 1 || length >= sizeof parsed.zone || !wire_name_ok(value))
		return false;
	memcpy(parsed.zone, value, length + 1);
	return true;
}

/* --- the options --- */

static const struct option_spec options[] = {
	{ .name = "memory",
	  .metavar = "SIZE",
	  .kind = OPTION_SIZE,
	  .help = "how much memory clients may use, in whole slabs; required",
	  .min = SLAB_MIN_BYTES,
	  .max = MEMORY_MAX_BYTES,
	  .out.bytes = &parsed.memory_asked_bytes },
	{ .name = "listen",
	  .metavar = "HOST[:PORT]",
	  .kind = OPTION_OTHER,
	  .help = "where to listen, at most 16 times; port 0 picks a free one "
		  "(default 127.0.0.1:10909)",
	  .out.take = take_listen },
	{ .name = "transport",
	  .metavar = "auto|rdma|tcp",
	  .kind = OPTION_CHOICE,
	  .choices = "auto|rdma|tcp",
	  .help = "auto: RDMA where a listening address belongs to an RDMA "
		  "device, and TCP always (default); rdma: refuse to start "
		  "without RDMA",
	  .out.text = &transport },
	{ .name = "slab-size",
	  .metavar = "SIZE",
	  .kind = OPTION_OTHER,
	  .help = "the unit of memory: a power of two from 1M to 1G (default "
		  "2M)",
	  .out.take = take_slab_size },
	{ .name = "hugepages",
	  .kind = OPTION_FLAG,
	  .help = "slabs of huge pages",
	  .out.flag = &parsed.hugepages },
	{ .name = "threads",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "threads for TCP connections",
	  .preset = "one for each CPU, at most 8",
	  .min = 1,
	  .max = THREADS_MAX,
	  .out.number = &parsed.threads },
	{ .name = "max-sessions",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "sessions at a time",
	  .preset = "256",
	  .min = 1,
	  .max = SESSIONS_MAX,
	  .out.number = &parsed.max_sessions },
	{ .name = "stock",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "slabs kept ready",
	  .preset = "32M or a 16th, 2 slabs at least",
	  .max = STOCK_MAX,
	  .out.number = &parsed.stock },
	{ .name = "grace",
	  .metavar = "SECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "keep the memory of a client whose connection is lost for "
		  "that long",
	  .preset = "60",
	  .max = GRACE_MAX_S,
	  .out.number = &parsed.grace_s },
	{ .name = "reclaim",
	  .metavar = "PERCENT",
	  .kind = OPTION_NUMBER,
	  .help = "ask clients for memory back while this machine's memory "
		  "pressure is above that; 0: never",
	  .preset = "0",
	  .max = 100,
	  .out.number = &parsed.reclaim_percent },
	{ .name = "zone",
	  .metavar = "NAME",
	  .kind = OPTION_OTHER,
	  .help = "what fails together with this server, such as a rack",
	  .out.take = take_zone },
	{ .name = "psk-file",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "serve only clients that prove a key of this file, by TLS; "
		  "rswapctl genkey makes keys",
	  .out.text = &parsed.psk_file },
	{ .name = "tenants",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "what each identity may have: memory, sessions, lanes, "
		  "weight; takes --psk-file",
	  .out.text = &parsed.tenants },
	{ .name = "allow-unauthenticated",
	  .kind = OPTION_FLAG,
	  .help = "serve other machines without keys: every host that reaches "
		  "the port may use this memory",
	  .out.flag = &parsed.allow_unauthenticated },
	{ .name = "port-file",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "write the ports there, one in a line, in the order of "
		  "--listen",
	  .out.text = &parsed.port_file },
	{ .name = "pidfile",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "write the process id there",
	  .out.text = &parsed.pidfile },
	{ .name = "control",
	  .metavar = "PATH",
	  .kind = OPTION_TEXT,
	  .help = "Unix socket that tells the status, and drains",
	  .out.text = &parsed.control },
	{ .name = "metrics",
	  .metavar = "[HOST:]PORT",
	  .kind = OPTION_OTHER,
	  .help = "address of an HTTP server that tells figures, to everybody "
		  "who reaches it",
	  .out.take = take_metrics },
	{ .name = "pool",
	  .metavar = "URL",
	  .kind = OPTION_OTHER,
	  .help = "etcd://HOST[:PORT][,HOST[:PORT]].../NAME: register in the "
		  "pool NAME, where clients find this server",
	  .out.take = take_pool },
	{ .name = "pool-address",
	  .metavar = "HOST[:PORT]",
	  .kind = OPTION_OTHER,
	  .help = "the address that clients find there (default: the first of "
		  "--listen)",
	  .out.take = take_pool_address },
	{ .name = "pool-ca",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "talk to etcd by TLS: who signed its certificate, as PEM",
	  .out.text = &parsed.pool.etcd.ca },
	{ .name = "pool-cert",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "the certificate of this client of etcd",
	  .out.text = &parsed.pool.etcd.cert },
	{ .name = "pool-key",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "and its key",
	  .out.text = &parsed.pool.etcd.key },
	{ .name = "pool-login",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "a user of etcd: a file with the line USER:PASSWORD",
	  .out.text = &parsed.pool.etcd.login },
	{ .name = "user",
	  .metavar = "NAME",
	  .kind = OPTION_TEXT,
	  .help = "serve as this user; only root can become another",
	  .out.text = &parsed.user },
	{ .name = "no-seccomp",
	  .kind = OPTION_FLAG,
	  .help = "serve without the filter of system calls, if an RDMA "
		  "device's library needs a call that it refuses",
	  .out.flag = &parsed.no_seccomp },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswap-memserver",
	.args = "--memory=SIZE",
	.about = "Grants this machine's memory as swap space for other "
		 "machines.",
	.options = options,
	.has_version = true,
};

void config_help(void)
{
	cmdline_help(&cmdline);
}

static bool check_memory(struct config *config, struct cmdline_error *why)
{
	if (!config->memory_asked_bytes) {
		snprintf(why->text, sizeof why->text,
			 "--memory=SIZE is required: how much memory to hand "
			 "out, as 512M or 64G");
		return false;
	}
	config->memory_bytes =
		config->memory_asked_bytes & ~(config->slab_bytes - 1);
	if (config->memory_bytes)
		return true;
	snprintf(why->text, sizeof why->text,
		 "--memory=%s: allowed is at least one slab (%s)",
		 size_format(config->memory_asked_bytes).text,
		 size_format(config->slab_bytes).text);
	return false;
}

static unsigned default_stock(const struct config *config)
{
	uint64_t part = config->memory_bytes / STOCK_PART;
	uint64_t bytes = part < STOCK_BYTES ? part : STOCK_BYTES;
	unsigned slabs = (unsigned)(bytes / config->slab_bytes);

	return slabs > STOCK_MIN ? slabs : STOCK_MIN;
}

static void set_defaults(struct config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	*config = (struct config){
		.slab_bytes = SLAB_BYTES,
		.threads = cpus < 1		  ? 1
			   : cpus > THREADS_GUESS ? THREADS_GUESS
						  : (unsigned)cpus,
		.max_sessions = 256,
		.stock = STOCK_UNSET,
		.grace_s = TIMES_GRACE_S,
		.psi_path = "/proc/pressure/memory",
	};
}

static bool check_pool(const struct config *config, struct cmdline_error *why)
{
	const struct etcd_config *etcd = &config->pool.etcd;
	struct error detail;

	if (!*config->pool.name && (*config->pool_address.host || etcd->ca ||
				    etcd->cert || etcd->key || etcd->login)) {
		snprintf(why->text, sizeof why->text,
			 "--pool-address, --pool-ca, --pool-cert, --pool-key "
			 "and --pool-login are allowed only with --pool=URL");
		return false;
	}
	if (pool_check_files(&config->pool, "--", &detail))
		return true;
	snprintf(why->text, sizeof why->text, "%s", detail.text);
	return false;
}

enum cmdline_verdict config_parse(int argc, char **argv, struct config *config,
				  struct cmdline_error *why)
{
	enum cmdline_verdict verdict;
	struct error ignored;
	int n_words;

	set_defaults(&parsed);
	transport = "auto";
	verdict = cmdline_parse(&cmdline, argc, argv, &n_words, why);
	if (verdict != CMDLINE_RUN)
		return verdict;
	if (n_words) {
		snprintf(why->text, sizeof why->text,
			 "%.100s: allowed are options only (see --help)",
			 argv[0]);
		return CMDLINE_WRONG;
	}
	parsed.only = transport_by_name(transport); /* "auto": none */
	if (!check_memory(&parsed, why))
		return CMDLINE_WRONG;
	if (parsed.psk_file && parsed.allow_unauthenticated) {
		snprintf(why->text, sizeof why->text,
			 "--psk-file and --allow-unauthenticated are both "
			 "given: one of them is allowed");
		return CMDLINE_WRONG;
	}
	if (parsed.tenants && !parsed.psk_file) {
		snprintf(why->text, sizeof why->text,
			 "--tenants=%.100s: allowed only with --psk-file=FILE, "
			 "as only keys tell who a client is",
			 parsed.tenants);
		return CMDLINE_WRONG;
	}
	if (!check_pool(&parsed, why))
		return CMDLINE_WRONG;
	if (parsed.stock == STOCK_UNSET)
		parsed.stock = default_stock(&parsed);
	if (!parsed.listen_count)
		take_listen("127.0.0.1", &ignored);
	*config = parsed;
	return CMDLINE_RUN;
}
