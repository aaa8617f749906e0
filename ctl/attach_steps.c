/* Steps and their undoing.  Each step has its own deadline; the undoing has
 * deadlines of its own as well, so that a dead server can't hold up the end. */
#include "attach.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "nbddev.h"
#include "nbdkit.h"
#include "vmtune.h"
#include "run.h"
#include "size.h"
#include "swapinfo.h"
#include "times.h"

#define STEP_NS (30 * NS_PER_S)

static uint64_t in_ns(uint64_t ns)
{
	return clock_now_ns() + ns;
}

static int lock_state(struct attach *a, struct reason *why)
{
	a->lock_fd = statedir_lock(in_ns(STEP_NS), why);
	return a->lock_fd < 0 ? -1 : 0;
}

static void unlock_state(struct attach *a)
{
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	a->lock_fd = -1;
}

static int load_module(struct attach *a, struct reason *why)
{
	(void)a;
	return nbddev_load(in_ns(STEP_NS), why);
}

static int choose_device(struct attach *a, struct reason *why)
{
	if (!a->device) {
		a->number = nbddev_find_free();
		if (a->number < 0) {
			reason_set(why,
				   "none of the %d nbd devices is free; "
				   "modprobe nbd with a larger nbds_max",
				   nbddev_count());
			return -1;
		}
	} else {
		a->number = nbddev_number(a->device);
		if (!nbddev_exists(a->number)) {
			reason_set(why,
				   "%s does not exist; there are %d nbd "
				   "devices (nbds_max)",
				   a->device, nbddev_count());
			return -1;
		}
		if (nbddev_connected(a->number) ||
		    nbddev_size_bytes(a->number)) {
			reason_set(why, "%s is in use", a->device);
			return -1;
		}
	}
	snprintf(a->state.device, sizeof a->state.device, "/dev/nbd%d",
		 a->number);
	snprintf(a->state.name, sizeof a->state.name, "%s",
		 a->name ? a->name : a->state.device + strlen("/dev/"));
	return 0;
}

static int make_directory(struct attach *a, struct reason *why)
{
	size_t have = 0;

	if (statedir_create(a->state.name, why) < 0)
		return -1;
	a->state.size_bytes = a->size_bytes;
	for (int i = 0; i < a->n_servers; i++) {
		have += (size_t)snprintf(a->state.servers + have,
					 sizeof a->state.servers - have, "%s%s",
					 i ? " " : "", a->servers[i]);
		if (have >= sizeof a->state.servers)
			break;
	}
	return statedir_save(&a->state, why);
}

static void remove_directory(struct attach *a)
{
	statedir_remove(a->state.name);
}

/* Under systemd the journal keeps nbdkit's messages; a file in /run would only
 * grow beside it. */
static bool log_to_journal(void)
{
	return getenv("JOURNAL_STREAM") != NULL;
}

/* Requests in flight are threads x connections.  Twice the lanes: writes may
 * take only part of the lanes, and when all of these are busy a read still has
 * to find a thread that takes it off the socket. */
static uint64_t threads_per_connection(const struct attach *a)
{
	uint64_t threads = (2 * a->lanes + a->connections - 1) / a->connections;

	return threads < 4 ? 4 : threads;
}

#define PLUGIN_ARGS_MAX (ATTACH_SERVERS_MAX + 32)

struct plugin_args {
	char *argv[PLUGIN_ARGS_MAX];
	char text[PLUGIN_ARGS_MAX * 32 + 300 * ATTACH_SERVERS_MAX];
	size_t have;
	int argc;
};

/* What doesn't fit is cut, and then nbdkit refuses it; servers are checked for
 * their length before. */
__attribute__((format(printf, 2, 3))) static void
add_arg(struct plugin_args *args, const char *format, ...)
{
	size_t room = sizeof args->text - args->have;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(args->text + args->have, room, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room || args->argc == PLUGIN_ARGS_MAX - 1)
		return;
	args->argv[args->argc++] = args->text + args->have;
	args->argv[args->argc] = NULL;
	args->have += (size_t)n + 1;
}

/* Only what was asked for: the plugin has defaults of its own, and knows what
 * goes together. */
static void redundancy_args(const struct attach *a, struct plugin_args *args)
{
	if (a->replicas)
		add_arg(args, "replicas=%" PRIu64, a->replicas);
	if (a->redundancy)
		add_arg(args, "redundancy=%s", a->redundancy);
	if (a->checksum)
		add_arg(args, "checksum=%s", a->checksum);
	if (a->fallback)
		add_arg(args, "fallback=%s", a->fallback);
	if (a->fallback_bytes)
		add_arg(args, "fallback-size=%" PRIu64, a->fallback_bytes);
	if (a->repair_bytes_per_s)
		add_arg(args, "repair-rate=%" PRIu64, a->repair_bytes_per_s);
	if (a->repair_after_s)
		add_arg(args, "repair-after=%" PRIu64, a->repair_after_s);
}

static void plugin_args(const struct attach *a, struct plugin_args *args)
{
	args->have = 0;
	args->argc = 0;
	/* in the foreground: nbdkit forks to go into the background, and locked
	 * memory is not inherited by the child */
	add_arg(args, "nbdkit");
	add_arg(args, "-f");
	add_arg(args, "-U");
	add_arg(args, "%s", statedir_path(a->state.name, "nbd.sock").text);
	add_arg(args, "--pidfile");
	add_arg(args, "%s", statedir_path(a->state.name, "nbdkit.pid").text);
	add_arg(args, "-t");
	add_arg(args, "%" PRIu64, threads_per_connection(a));
	add_arg(args, "%s", a->plugin);
	for (int i = 0; i < a->n_servers; i++)
		add_arg(args, "server=%s", a->servers[i]);
	add_arg(args, "size=%s", size_format(a->size_bytes).text);
	add_arg(args, "transport=%s", a->transport);
	add_arg(args, "lanes=%" PRIu64, a->lanes);
	add_arg(args, "timeout=%" PRIu64, a->timeout_s);
	add_arg(args, "control=%s",
		statedir_path(a->state.name, "control.sock").text);
	redundancy_args(a, args);
	if (a->strict)
		add_arg(args, "strict=1");
}

/* Also waits for it: a plugin that doesn't come up leaves nothing to undo but
 * its process. */
static int start_plugin(struct attach *a, struct reason *why)
{
	struct state_path socket = statedir_path(a->state.name, "nbd.sock");
	struct state_path log = statedir_path(a->state.name, "log");
	static struct plugin_args args;
	bool journal = log_to_journal();
	/* its own deadline for its servers, and time to set up its memory */
	uint64_t deadline_ns = in_ns(a->timeout_s * NS_PER_S + STEP_NS);
	pid_t pid;

	plugin_args(a, &args);
	pid = nbdkit_start(args.argv, journal ? NULL : log.text, why);
	if (pid < 0)
		return -1;
	a->state.pid = pid;
	a->state.start = run_start_time(pid);
	/* saved first: should rswapctl die now, detach finds nbdkit */
	if (statedir_save(&a->state, why) == 0 &&
	    nbdkit_wait_ready(pid, socket.text, deadline_ns, why) == 0)
		return 0;
	if (!journal)
		nbdkit_show_log(log.text, "  ");
	nbdkit_stop(pid, in_ns(STEP_NS));
	return -1;
}

static void stop_plugin(struct attach *a)
{
	nbdkit_stop(a->state.pid, in_ns(STEP_NS));
}

static void disconnect(struct attach *a)
{
	const char *const argv[] = { "nbd-client", "-d", a->state.device,
				     NULL };
	struct reason ignored;

	run_must(argv, in_ns(STEP_NS), &ignored);
	nbddev_wait(a->number, false, in_ns(STEP_NS));
}

/* -swap: where nbd-client has to stay (without netlink it serves the device
 * from its own process) it locks itself and is spared by the OOM killer.  No
 * -persist: a plugin that died has taken the page map with it, and a new one
 * under the same device would answer zeros. */
static int connect_device(struct attach *a, struct reason *why)
{
	struct state_path socket = statedir_path(a->state.name, "nbd.sock");
	char connections[12], timeout[12];
	const char *const argv[] = {
		"nbd-client",  "-unix", socket.text,	a->state.device,
		"-block-size", "4096",	"-connections", connections,
		"-timeout",    timeout, "-swap",	NULL
	};
	int err;

	snprintf(connections, sizeof connections, "%u",
		 (unsigned)a->connections);
	snprintf(timeout, sizeof timeout, "%u",
		 (unsigned)times_kernel_timeout_s(a->timeout_s));
	err = run_must(argv, in_ns(STEP_NS), why);
	if (!err && !nbddev_wait(a->number, true, in_ns(STEP_NS))) {
		reason_set(why, "nbd-client: %s is not connected afterwards",
			   a->state.device);
		err = -1;
	}
	if (err && nbddev_connected(a->number))
		disconnect(a);
	unlock_state(a);
	return err;
}

static int tune_queue(struct attach *a, struct reason *why)
{
	struct reason slow;

	(void)why;
	if (!nbddev_tune(a->number, &slow))
		printf("  warning: %s\n", slow.text);
	return 0;
}

static int make_swap(struct attach *a, struct reason *why)
{
	const char *const argv[] = { "mkswap", a->state.device, NULL };

	return run_must(argv, in_ns(STEP_NS + a->timeout_s * NS_PER_S), why);
}

/* --discard=pages: without it the device never hears of a slot that is free
 * again, and every slab that was used once stays used. */
static int swap_on(struct attach *a, struct reason *why)
{
	char priority[12];
	const char *const argv[] = { "swapon", "--discard=pages", "-p",
				     priority, a->state.device,	  NULL };

	snprintf(priority, sizeof priority, "%u", (unsigned)a->priority);
	return run_must(argv, in_ns(STEP_NS + a->timeout_s * NS_PER_S), why);
}

/* Raised where it is lower, and left so: the next attach wants it too, and a
 * reserve that sinks while another device is in use would be a trap. */
static int set_vm(struct attach *a, struct reason *why)
{
	uint64_t now_kib = reserve_now_kib();
	uint64_t wanted_kib = reserve_wanted_kib();
	int rc = compaction_spare_locked(why);

	(void)a;
	/* A kernel without compaction has nothing to set. */
	if (rc && rc != -ENOENT)
		return -1;
	if (now_kib >= wanted_kib)
		return 0;
	if (reserve_set_kib(wanted_kib, why))
		return -1;
	printf("  vm.min_free_kbytes: %" PRIu64 " -> %" PRIu64 "\n", now_kib,
	       wanted_kib);
	return 0;
}

static const struct step {
	const char *what;
	int (*run)(struct attach *a, struct reason *why);
	void (*undo)(struct attach *a); /* NULL: nothing to undo */
} steps[] = {
	{ "load module nbd", load_module, NULL },
	{ "set vm.min_free_kbytes and compaction", set_vm, NULL },
	{ "wait for any other rswapctl", lock_state, NULL },
	{ "choose nbd device", choose_device, NULL },
	{ "make state directory", make_directory, remove_directory },
	{ "start nbdkit with the plugin", start_plugin, stop_plugin },
	{ "connect nbd device", connect_device, disconnect },
	{ "set block queue", tune_queue, NULL },
	{ "mkswap", make_swap, NULL },
	/* the last one: its own undoing is detach's business */
	{ "swapon", swap_on, NULL },
};

#define N_STEPS (sizeof steps / sizeof steps[0])

static void undo(struct attach *a, size_t n)
{
	/* what interrupted the step shall not interrupt its undoing */
	run_forget_signals();
	while (n-- > 0) {
		if (steps[n].undo) {
			printf("  undo: %s\n", steps[n].what);
			steps[n].undo(a);
		}
	}
}

static int run_steps(struct attach *a)
{
	for (size_t i = 0; i < N_STEPS; i++) {
		struct reason why = { "" };
		int err;

		printf("[%zu/%zu] %s\n", i + 1, N_STEPS, steps[i].what);
		err = steps[i].run(a, &why);
		if (!err && run_interrupted()) {
			reason_set(&why, "interrupted");
			/* this step is done, and to be undone */
			undo(a, i + 1);
			err = 1;
		} else if (err) {
			undo(a, i);
		}
		if (err) {
			fprintf(stderr, "rswapctl attach: failed to %s: %s\n",
				steps[i].what, why.text);
			return -1;
		}
	}
	return 0;
}

int attach_run(struct attach *a)
{
	int err;

	a->lock_fd = -1;
	err = run_steps(a);
	unlock_state(a);
	return err;
}
