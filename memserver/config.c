#include "config.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "size.h"
#include "times.h"
#include "wire.h"

#define MIB	       (1ull << 20)
#define SLAB_MIN_BYTES (1 * MIB)
#define SLAB_MAX_BYTES (1024 * MIB)
/* What the kernel's swap code fills, and tells to be free, at a time on a
 * machine with transparent huge pages: a larger slab would be kept for a part
 * of it. */
#define SLAB_BYTES (2 * MIB)
/* Of memory kept ready, unless --stock is given. */
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

enum option_id {
	OPT_MEMORY = 256,
	OPT_LISTEN,
	OPT_TRANSPORT,
	OPT_SLAB_SIZE,
	OPT_HUGEPAGES,
	OPT_THREADS,
	OPT_MAX_SESSIONS,
	OPT_STOCK,
	OPT_GRACE,
	OPT_RECLAIM,
	OPT_ZONE,
	OPT_PORT_FILE,
	OPT_PIDFILE,
	OPT_CONTROL,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option options[] = {
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "listen", required_argument, NULL, OPT_LISTEN },
	{ "transport", required_argument, NULL, OPT_TRANSPORT },
	{ "slab-size", required_argument, NULL, OPT_SLAB_SIZE },
	{ "hugepages", no_argument, NULL, OPT_HUGEPAGES },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "max-sessions", required_argument, NULL, OPT_MAX_SESSIONS },
	{ "stock", required_argument, NULL, OPT_STOCK },
	{ "grace", required_argument, NULL, OPT_GRACE },
	{ "reclaim", required_argument, NULL, OPT_RECLAIM },
	{ "zone", required_argument, NULL, OPT_ZONE },
	{ "port-file", required_argument, NULL, OPT_PORT_FILE },
	{ "pidfile", required_argument, NULL, OPT_PIDFILE },
	{ "control", required_argument, NULL, OPT_CONTROL },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static const char usage[] =
	"Usage: rswap-memserver --memory=SIZE [OPTION]...\n"
	"Hands out this machine's memory as swap space for other machines.\n"
	"\n"
	"  --memory=SIZE         what it may hand out, one slab to 1024T (K, "
	"M,\n"
	"                        G, T); required\n"
	"  --listen=HOST[:PORT]  where to listen, repeatable; port 0 picks a\n"
	"                        free one (default 127.0.0.1:10909); at most\n"
	"                        16 times\n"
	"  --transport=auto|rdma|tcp\n"
	"                        auto: RDMA where a listening address belongs\n"
	"                        to an RDMA device, and TCP always (default);\n"
	"                        rdma: refuse to start without RDMA\n"
	"  --slab-size=SIZE      unit of handing out: a power of two from 1M\n"
	"                        to 1G (default 2M)\n"
	"  --hugepages           slabs of huge pages\n"
	"  --threads=N           threads for TCP lanes, 1 to 256 (default: "
	"one\n"
	"                        per CPU, at most 8)\n"
	"  --max-sessions=N      sessions at a time, 1 to 4096 (default 256)\n"
	"  --stock=N             slabs kept ready, 0 to 1024 (default: 32M\n"
	"                        or a 16th, and 2 slabs at least)\n"
	"  --grace=SECONDS       keep the memory of a client whose connection "
	"is\n"
	"                        lost for that long, 0 to 3600 (default 60)\n"
	"  --reclaim=PERCENT     ask clients for memory back while this "
	"machine's\n"
	"                        memory pressure is above that; 0: never\n"
	"                        (default)\n"
	"  --zone=NAME           what fails together with this server, as a "
	"rack\n"
	"  --port-file=FILE      write the ports there, one in a line, in the\n"
	"                        order of --listen\n"
	"  --pidfile=FILE        write the process id there\n"
	"  --control=PATH        Unix socket that tells the status, and "
	"drains\n"
	"  --help                show this and exit\n"
	"  --version             show the version and exit\n";

void config_usage(FILE *out)
{
	fputs(usage, out);
}

const char *config_transport_name(enum config_transport transport)
{
	static const char *const names[] = { [CONFIG_AUTO] = "auto",
					     [CONFIG_RDMA] = "rdma",
					     [CONFIG_TCP] = "tcp" };

	return names[transport];
}

static const char *option_name(int id)
{
	for (const struct option *o = options; o->name; o++) {
		if (o->val == id)
			return o->name;
	}
	return "?";
}

static bool wrong(struct error *why, int id, const char *value,
		  const char *allowed)
{
	error_set(why, "--%s=%.100s: must be %s", option_name(id), value,
		  allowed);
	return false;
}

static bool set_listen(struct config *config, const char *value,
		       struct error *why)
{
	struct error detail;

	if (config->listen_count == CONFIG_LISTEN_MAX) {
		error_set(why, "--listen=%.100s: at most %d are allowed", value,
			  CONFIG_LISTEN_MAX);
		return false;
	}
	if (!net_name_parse(value, WIRE_DEFAULT_PORT,
			    &config->listen[config->listen_count], &detail)) {
		error_set(why,
			  "--listen=%.80s: %.80s; must be HOST, HOST:PORT or "
			  "[IPV6]:PORT",
			  value, detail.text);
		return false;
	}
	config->listen_count++;
	return true;
}

static bool set_transport(struct config *config, const char *value,
			  struct error *why)
{
	for (enum config_transport t = CONFIG_AUTO; t <= CONFIG_TCP; t++) {
		if (!strcmp(value, config_transport_name(t))) {
			config->transport = t;
			return true;
		}
	}
	return wrong(why, OPT_TRANSPORT, value, "auto, rdma or tcp");
}

static bool set_memory(struct config *config, const char *value,
		       struct error *why)
{
	if (size_parse(value, &config->memory_asked_bytes) &&
	    config->memory_asked_bytes > 0 &&
	    config->memory_asked_bytes <= MEMORY_MAX_BYTES)
		return true;
	return wrong(why, OPT_MEMORY, value,
		     "a size from one slab to 1024T, as 512M or 64G");
}

static bool set_slab_size(struct config *config, const char *value,
			  struct error *why)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) && bytes >= SLAB_MIN_BYTES &&
	    bytes <= SLAB_MAX_BYTES && (bytes & (bytes - 1)) == 0) {
		config->slab_bytes = bytes;
		return true;
	}
	return wrong(why, OPT_SLAB_SIZE, value, "a power of two from 1M to 1G");
}

static bool set_number(unsigned *n, int id, const char *value, unsigned min,
		       unsigned max, struct error *why)
{
	char allowed[64];
	uint64_t number;

	if (number_parse(value, min, max, &number)) {
		*n = (unsigned)number;
		return true;
	}
	snprintf(allowed, sizeof allowed, "a number from %u to %u", min, max);
	return wrong(why, id, value, allowed);
}

static bool set_zone(struct config *config, const char *value,
		     struct error *why)
{
	size_t length = strlen(value);

	if (length < 1 || length >= sizeof config->zone || !wire_name_ok(value))
		return wrong(why, OPT_ZONE, value,
			     "1 to 31 printable ASCII characters without "
			     "spaces");
	memcpy(config->zone, value, length + 1);
	return true;
}

static bool set_path(const char **path, int id, const char *value,
		     struct error *why)
{
	*path = value;
	return value[0] || wrong(why, id, value, "the path of a file");
}

static bool set_option(struct config *config, int id, const char *value,
		       struct error *why)
{
	switch (id) {
	case OPT_MEMORY:
		return set_memory(config, value, why);
	case OPT_LISTEN:
		return set_listen(config, value, why);
	case OPT_TRANSPORT:
		return set_transport(config, value, why);
	case OPT_SLAB_SIZE:
		return set_slab_size(config, value, why);
	case OPT_HUGEPAGES:
		config->hugepages = true;
		return true;
	case OPT_THREADS:
		return set_number(&config->threads, id, value, 1, THREADS_MAX,
				  why);
	case OPT_MAX_SESSIONS:
		return set_number(&config->max_sessions, id, value, 1,
				  SESSIONS_MAX, why);
	case OPT_STOCK:
		return set_number(&config->stock, id, value, 0, STOCK_MAX, why);
	case OPT_GRACE:
		return set_number(&config->grace_s, id, value, 0, GRACE_MAX_S,
				  why);
	case OPT_RECLAIM:
		return set_number(&config->reclaim_percent, id, value, 0, 100,
				  why);
	case OPT_ZONE:
		return set_zone(config, value, why);
	case OPT_PORT_FILE:
		return set_path(&config->port_file, id, value, why);
	case OPT_PIDFILE:
		return set_path(&config->pidfile, id, value, why);
	default:
		return set_path(&config->control, id, value, why);
	}
}

static bool check_memory(struct config *config, struct error *why)
{
	if (!config->memory_asked_bytes) {
		error_set(why, "--memory=SIZE is required: how much memory to "
			       "hand out, as 512M or 64G");
		return false;
	}
	config->memory_bytes =
		config->memory_asked_bytes & ~(config->slab_bytes - 1);
	if (config->memory_bytes)
		return true;
	error_set(why, "--memory=%s: must be at least one slab (%s)",
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
		.transport = CONFIG_AUTO,
		.threads = cpus < 1		  ? 1
			   : cpus > THREADS_GUESS ? THREADS_GUESS
						  : (unsigned)cpus,
		.max_sessions = 256,
		.stock = STOCK_UNSET,
		.grace_s = TIMES_GRACE_S,
		.psi_path = "/proc/pressure/memory",
	};
}

static void no_such_option(const char *word, struct error *why)
{
	size_t used;

	error_set(why, "%.40s: no such option; allowed are", word);
	used = strlen(why->text);
	for (const struct option *o = options;
	     o->name && used < sizeof why->text; o++)
		used += (size_t)snprintf(why->text + used,
					 sizeof why->text - used, "%s --%s",
					 o == options ? "" : ",", o->name);
}

/* What getopt_long could not take: it names the option in argv. */
static void not_taken(int got, char **argv, struct error *why)
{
	const char *word = argv[optind - 1];

	if (got == ':')
		error_set(why, "%.100s: needs a value (see --help)", word);
	else if (optopt >= OPT_MEMORY)
		error_set(why, "%.100s: takes no value", word);
	else
		no_such_option(word, why);
}

enum config_verdict config_parse(int argc, char **argv, struct config *config,
				 struct error *why)
{
	int got;

	set_defaults(config);
	optind = 0; /* glibc: start afresh */
	opterr = 0;
	while ((got = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (got == OPT_HELP)
			return CONFIG_HELP;
		if (got == OPT_VERSION)
			return CONFIG_VERSION;
		if (got == '?' || got == ':') {
			not_taken(got, argv, why);
			return CONFIG_WRONG;
		}
		if (!set_option(config, got, optarg, why))
			return CONFIG_WRONG;
	}
	if (optind < argc) {
		error_set(why, "%.100s: takes options only (see --help)",
			  argv[optind]);
		return CONFIG_WRONG;
	}
	if (!check_memory(config, why))
		return CONFIG_WRONG;
	if (config->stock == STOCK_UNSET)
		config->stock = default_stock(config);
	if (!config->listen_count && !set_listen(config, "127.0.0.1", why))
		return CONFIG_WRONG;
	return CONFIG_RUN;
}
