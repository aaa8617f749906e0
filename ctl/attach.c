#include "attach.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "concurrency.h"
#include "answer.h"
#include "detach.h"
#include "ended.h"
#include "keys.h"
#include "net.h"
#include "options.h"
#include "pool.h"
#include "run.h"
#include "size.h"
#include "sizeexpr.h"
#include "swapinfo.h"
#include "targets.h"
#include "times.h"
#include "warning.h"
#include "wire.h"

/* How long a detach may take after the end of the front end. */
#define LOCK_NS (30 * NS_PER_S)
/* How often a wait looks whether a signal came. */
#define LOOK_NS (200 * NS_PER_MS)

static const char *front_name = "auto", *tune = "yes";
static struct attach args = {
	.connections = CONCURRENCY_CONNECTIONS,
	.priority = ATTACH_PRIORITY,
};

_Static_assert(CONCURRENCY_CONNECTIONS == 2, "the preset of --connections");

#define SIZE_LEAST   (UINT64_C(1) << 20)
#define SIZE_LARGEST (UINT64_C(64) << 40)

static bool take_size(const char *text, struct error *why)
{
	struct error wrong = { "it is too small or too large" };
	uint64_t bytes;

	if (sizeexpr_parse(text, meminfo_bytes("MemTotal"), &bytes, &wrong) &&
	    bytes >= SIZE_LEAST && bytes <= SIZE_LARGEST) {
		args.size_bytes = bytes;
		return true;
	}
	error_set(why,
		  "1M to 64T, or an expression such as ram / 2 or "
		  "min(ram, 64G); %.100s",
		  wrong.text);
	return false;
}

static const struct option_spec own_options[] = {
	{ .name = "size",
	  .metavar = "SIZE",
	  .kind = OPTION_OTHER,
	  .help = "size of the swap device (1M to 64T), also as \"ram / 2\" "
		  "or \"min(ram, 64G)\"",
	  .out.take = take_size },
	{ .name = "device",
	  .metavar = "/dev/nbdN|/dev/ublkbN",
	  .kind = OPTION_TEXT,
	  .help = "which device (default: a free one)",
	  .out.text = &args.device },
	{ .name = "name",
	  .metavar = "NAME",
	  .kind = OPTION_TEXT,
	  .help = "name for detach and status (default: nbdN, ublkbN)",
	  .out.text = &args.name },
	{ .name = "front",
	  .metavar = FRONT_NAMES,
	  .kind = OPTION_CHOICE,
	  .choices = FRONT_NAMES,
	  .help = "front end: rswap-ublk, rswap-nbd, or nbdkit with the "
		  "plugin",
	  .preset = "auto",
	  .out.text = &front_name },
	{ .name = "connections",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "between the kernel's nbd and the front end",
	  .preset = "2",
	  .min = 1,
	  .max = CONCURRENCY_CONNECTIONS_MAX,
	  .out.number = &args.connections },
	{ .name = "priority",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "swap priority, higher goes first",
	  .preset = "110",
	  .min = 0,
	  .max = 32767,
	  .out.number = &args.priority },
	{ .name = "tune",
	  .metavar = "yes|no",
	  .kind = OPTION_CHOICE,
	  .choices = "yes|no",
	  .help = "change settings of the kernel while it is attached",
	  .preset = "yes",
	  .out.text = &tune },
	{ .name = "plugin",
	  .metavar = "PATH",
	  .kind = OPTION_TEXT,
	  .help = "nbdkit's plugin, or its name (default rswap)",
	  .out.text = &args.plugin },
	{ .name = "foreground",
	  .kind = OPTION_FLAG,
	  .help = "stay, and detach on Ctrl-C or SIGTERM",
	  .out.flag = &args.foreground },
};

#define N_OWN (sizeof own_options / sizeof own_options[0])

/* The own options, one for each key of the plugin that is passed on, and an
 * end. */
static struct option_spec options[N_OWN + KEYS + 1];

static const struct cmdline cmdline = {
	.program = "rswapctl attach",
	.args = "[SERVER...] --size=SIZE",
	.about = "Swap to the memory of each SERVER (HOST[:PORT]), or of a "
		 "pool (--pool), through a block device of the kernel's ublk "
		 "or nbd driver.",
	.options = options,
};

static void fill_options(void)
{
	struct option_spec *o = options + N_OWN;

	memcpy(options, own_options, sizeof own_options);
	for (int id = 0; id < KEYS; id++) {
		const struct key *key = &keys[id];

		if (key->attach == KEY_NO_OPTION)
			continue;
		*o++ = (struct option_spec){
			.name = key->name,
			.metavar =
				key->attach == KEY_FLAG ? NULL : key->metavar,
			.help = key->help,
			.kind = OPTION_KEY,
			.key = key,
			.out.text = &args.keys[id],
		};
	}
}

/* Front ends run in the root directory, where a relative path names another
 * file. */
static void check_path(enum key_id id)
{
	const char *path = args.keys[id];

	if (path && path[0] != '/')
		options_die(&cmdline, "--%s=%s: allowed is an absolute path",
			    keys[id].name, path);
}

static void check_servers(void)
{
	if (args.n_servers == 0 && !args.keys[KEY_POOL])
		options_die(&cmdline, "a SERVER is missing; allowed is "
				      "HOST[:PORT], one or more, or "
				      "--pool=etcd://HOST.../NAME");
	if (args.n_servers > ATTACH_SERVERS_MAX)
		options_die(&cmdline, "%d servers; allowed are 1 to %d",
			    args.n_servers, ATTACH_SERVERS_MAX);
	for (int i = 0; i < args.n_servers; i++) {
		struct net_name name;
		struct error why;

		if (!net_name_parse(args.servers[i], WIRE_DEFAULT_PORT, &name,
				    &why))
			options_die(&cmdline,
				    "SERVER %s: %s; allowed is "
				    "HOST[:PORT]",
				    args.servers[i], why.text);
		if (name.port == 0)
			options_die(&cmdline,
				    "SERVER %s: allowed is a PORT from "
				    "1 to 65535",
				    args.servers[i]);
	}
}

static void check_pool(void)
{
	const char *url = args.keys[KEY_POOL];
	struct pool pool = { .name = "" };

	if (url && !pool_set_url(&pool, url))
		options_die(&cmdline, "--pool=%s is not allowed: it must be %s",
			    url, POOL_URL_ALLOWED);
}

static void check_args(void)
{
	int number;

	check_path(KEY_FALLBACK);
	check_path(KEY_PSK_FILE);
	check_path(KEY_POOL_CA);
	check_path(KEY_POOL_CERT);
	check_path(KEY_POOL_KEY);
	check_path(KEY_POOL_LOGIN);
	check_path(KEY_POOL_STATE);
	check_servers();
	check_pool();
	if (!args.size_bytes)
		options_die(&cmdline,
			    "--size is missing; allowed is --size=SIZE "
			    "with K, M, G or T");
	if (args.size_bytes % 4096)
		options_die(&cmdline,
			    "--size=%s: allowed is a multiple of 4096 "
			    "bytes",
			    size_format(args.size_bytes).text);
	if (args.device && !driver_of(args.device, &number))
		options_die(&cmdline,
			    "--device=%s: allowed is /dev/nbd0 to "
			    "/dev/nbd%d, and /dev/ublkb0 to /dev/ublkb%d",
			    args.device, driver_nbd.numbers - 1,
			    driver_ublk.numbers - 1);
	if (args.name && !statedir_name_ok(args.name))
		options_die(&cmdline,
			    "--name=%s: allowed are 1 to %d letters, "
			    "digits and . _ -, no dot or dash in front",
			    args.name, STATE_NAME_MAX);
}

/* A plugin is nbdkit's.  nbdkit runs in the root directory, so a path has to be
 * absolute. */
static const char *plugin_path(const char *plugin)
{
	char *path;

	if (!plugin)
		return front_default_plugin();
	if (strcmp(front_name, "auto") && strcmp(front_name, "nbdkit"))
		options_die(&cmdline,
			    "--plugin=%s: allowed with --front=nbdkit", plugin);
	if (!strchr(plugin, '/'))
		return plugin;
	path = realpath(plugin, NULL);
	if (!path)
		options_die(&cmdline,
			    "--plugin=%s: no such file; allowed is a "
			    "plugin's path, or its name",
			    plugin);
	return path;
}

static int end_stay(void)
{
	const struct detach_request request = {
		.deadline_ns = clock_now_ns() + DETACH_DEFAULT_S * NS_PER_S,
	};
	struct detach_outcome outcome;
	struct error why;

	run_forget_signals();
	if (detach_name(args.state.name, &request, &outcome, &why) == 0)
		return EXIT_OK;
	warning_error("rswapctl attach: %s is still attached: %s",
		      args.state.name, why.text);
	return EXIT_FAILED;
}

/* Without copies a request has to outlast every server's grace time.  The
 * plugin knows the grace times only when it has sessions. */
static void warn_of_timeout(void)
{
	struct state_path socket =
		statedir_path(args.state.name, "control.sock");
	const struct target plugin = { .socket = socket.text };
	int n = args.keys[KEY_POOL] ? KEYS_SERVERS_MAX : args.n_servers;
	uint64_t grace_s = 0, fits_s;
	struct error ignored;
	struct json_object *answer = target_ask(&plugin, &ignored);

	if (!answer || answer_number(answer, "replicas") != 1)
		return;
	for (int i = 0; i < n; i++) {
		struct answer_path path = answer_path("servers.%d.grace_ms", i);
		uint64_t s = answer_number(answer, path.text) / 1000;

		grace_s = s > grace_s ? s : grace_s;
	}
	fits_s = times_least_timeout_s(grace_s);
	if (grace_s && args.timeout_s < fits_s)
		warning_print(
			"--timeout=%u is too short for the "
			"memory server's --grace=%" PRIu64
			": in an outage requests fail while their pages may "
			"still come back; --timeout=%" PRIu64 " or more fits",
			args.timeout_s, grace_s, fits_s);
}

/* Whether the front end ended because of a detach: detach holds the lock until
 * the directory is gone. */
static bool was_detached(void)
{
	struct error ignored;
	int lock_fd = statedir_lock(args.state.name, clock_now_ns() + LOCK_NS,
				    &ignored);

	if (lock_fd >= 0)
		close(lock_fd);
	return access(statedir_path(args.state.name, "").text, F_OK) < 0;
}

/* Waits for a signal, or for the end of the front end. */
static int stay(void)
{
	int pidfd = pidfd_open(args.state.pid, 0);
	struct error why;
	int status;

	printf("%s stays until Ctrl-C\n", args.state.name);
	while (!run_interrupted()) {
		/* not for ever: a signal may come right before */
		net_wait(pidfd, POLLIN, clock_now_ns() + LOOK_NS);
		if (waitpid(args.state.pid, &status, WNOHANG) != args.state.pid)
			continue;
		if (was_detached())
			return EXIT_OK;
		ended_explain(args.front, status, &why);
		warning_error(
			"rswapctl attach: %s; what was swapped to %s is lost: "
			"rswapctl detach %s",
			why.text, args.state.device, args.state.name);
		return EXIT_FAILED;
	}
	return end_stay();
}

static void choose_front(void)
{
	struct front_wish wish = { .name = front_name,
				   .plugin = args.plugin != NULL };
	int number;

	args.plugin = plugin_path(args.plugin);
	if (args.device)
		wish.driver = driver_of(args.device, &number);
	args.front = front_choose(&wish, &args.choice);
	if (args.front)
		return;
	if (args.device)
		options_die(&cmdline, "--front=%s, --device=%s: %s", front_name,
			    args.device, args.choice.text);
	options_die(&cmdline, "--front=%s: %s", front_name, args.choice.text);
}

int cmd_attach(int argc, char **argv)
{
	fill_options();
	args.n_servers = options_parse(&cmdline, argc, argv);
	args.servers = argv;
	check_args();
	args.tune = !strcmp(tune, "yes");
	choose_front();
	args.lanes = (unsigned)key_number(KEY_LANES, args.keys[KEY_LANES]);
	if (!args.lanes)
		args.keys[KEY_LANES] = NULL; /* auto, the default */
	args.timeout_s =
		(unsigned)key_number(KEY_TIMEOUT, args.keys[KEY_TIMEOUT]);
	if (geteuid() != 0)
		options_die(&cmdline, "only root can attach a swap device");
	run_catch_signals();
	/* A unit that stops while it starts has no ExecStop=, but the signal
	 * that must not hurt a front end. */
	if (getenv("NOTIFY_SOCKET") && !args.foreground)
		run_catch_stop();
	if (attach_run(&args) < 0)
		return EXIT_FAILED;
	warn_of_timeout();
	printf("%s: swapping %s to %s; end it with: rswapctl detach %s\n",
	       args.state.device, size_format(args.size_bytes).text,
	       args.state.servers, args.state.name);
	return args.foreground ? stay() : EXIT_OK;
}
