/* Steps and their undoing.  Each step has its own deadline; the undoing has
 * deadlines of its own as well, so that a dead server can't hold up the end.
 * The lock of the name is held from the choice of the name to the end. */
#include "attach.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "nbd_netlink.h"
#include "nbddev.h"
#include "nbdexport.h"
#include "nbdkit.h"
#include "run.h"
#include "size.h"
#include "swapinfo.h"
#include "teardown.h"
#include "times.h"
#include "vmtune.h"

#define STEP_NS (30 * NS_PER_S)

static uint64_t in_ns(uint64_t ns)
{
	return clock_now_ns() + ns;
}

static int load_module(struct attach *a, struct error *why)
{
	(void)a;
	return nbddev_load(in_ns(STEP_NS), why);
}

static int lock_name(struct attach *a, const char *name, uint64_t deadline_ns,
		     struct error *why)
{
	snprintf(a->state.name, sizeof a->state.name, "%s", name);
	a->lock_fd = statedir_lock(a->state.name, deadline_ns, why);
	return a->lock_fd < 0 ? -1 : 0;
}

/* A device that was asked for, named after itself unless told otherwise. */
static int take_device(struct attach *a, struct error *why)
{
	struct error used;

	a->number = nbddev_number(a->device);
	if (!nbddev_exists(a->number)) {
		error_set(why,
			  "%s does not exist; there are %d nbd devices "
			  "(nbds_max)",
			  a->device, nbddev_count());
		return -1;
	}
	if (lock_name(a, a->name ? a->name : a->device + strlen("/dev/"),
		      in_ns(STEP_NS), why) < 0)
		return -1;
	/* checked with the lock held: another attach may just have ended */
	if (nbddev_is_free(a->number, &used))
		return 0;
	error_set(why, "%s is in use: %.150s", a->device, used.text);
	return -1;
}

/* Without --name the device gives the name.  So attach asks for the first free
 * device whose name no other rswapctl has locked.  If none is free, the kernel
 * makes another one. */
static int guess_device(struct attach *a, struct error *why)
{
	struct error ignored;
	char name[16];

	for (a->number = a->guess_from; a->number < NBDDEV_MAX; a->number++) {
		if (nbddev_exists(a->number) &&
		    !nbddev_is_free(a->number, &ignored))
			continue;
		snprintf(name, sizeof name, "nbd%d", a->number);
		if (lock_name(a, name, 0, &ignored) < 0)
			continue;
		if (nbddev_is_free(a->number, &ignored) &&
		    !statedir_in_use(name, &ignored))
			return 0;
		close(a->lock_fd);
		a->lock_fd = -1;
	}
	error_set(why, "none of %d nbd devices is free", NBDDEV_MAX);
	return -1;
}

static int choose_device(struct attach *a, struct error *why)
{
	if (a->device)
		return take_device(a, why);
	if (!a->name)
		return guess_device(a, why);
	a->number = -1;
	return lock_name(a, a->name, in_ns(STEP_NS), why);
}

static int make_directory(struct attach *a, struct error *why)
{
	size_t have = 0;

	if (statedir_create(a->state.name, why) < 0)
		return -1;
	a->made_directory = true;
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

static int remove_directory(struct attach *a, struct error *why)
{
	(void)why;
	if (a->made_directory)
		statedir_remove(a->state.name);
	return 0;
}

/* Under systemd the journal keeps nbdkit's messages.  A file in /run would only
 * grow. */
static bool log_to_journal(void)
{
	return getenv("JOURNAL_STREAM") != NULL;
}

/* Requests in flight are threads x connections.  Twice the lanes: writes may
 * take only part of the lanes, and when all of these are busy a read still has
 * to find a thread that takes it off the socket. */
static unsigned threads_per_connection(const struct attach *a)
{
	unsigned threads = (2 * a->lanes + a->connections - 1) / a->connections;

	return threads < 4 ? 4 : threads;
}

#define PLUGIN_ARGS_MAX (ATTACH_SERVERS_MAX + 32)

struct plugin_args {
	const char *argv[PLUGIN_ARGS_MAX];
	char text[PLUGIN_ARGS_MAX * 32 + 300 * ATTACH_SERVERS_MAX];
	size_t have;
	int argc;
};

/* An argument that does not fit is cut, and nbdkit refuses it.  Servers are
 * checked for their length before. */
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

/* Only the options that were given: the plugin has its own defaults, and checks
 * combinations. */
static void key_args(const struct attach *a, struct plugin_args *args)
{
	for (int id = 0; id < KEYS; id++) {
		if (a->keys[id])
			add_arg(args, "%s=%s", keys[id].name, a->keys[id]);
	}
}

static void plugin_args(const struct attach *a, struct plugin_args *args)
{
	args->have = 0;
	args->argc = 0;
	/* in the foreground: nbdkit would fork to go into the background, and a
	 * child does not inherit locked memory */
	add_arg(args, "nbdkit");
	add_arg(args, "-f");
	add_arg(args, "-U");
	add_arg(args, "%s", statedir_path(a->state.name, "nbd.sock").text);
	add_arg(args, "--pidfile");
	add_arg(args, "%s", statedir_path(a->state.name, "nbdkit.pid").text);
	add_arg(args, "-t");
	add_arg(args, "%u", threads_per_connection(a));
	add_arg(args, "%s", a->plugin);
	for (int i = 0; i < a->n_servers; i++)
		add_arg(args, "server=%s", a->servers[i]);
	add_arg(args, "size=%s", size_format(a->size_bytes).text);
	add_arg(args, "control=%s",
		statedir_path(a->state.name, "control.sock").text);
	key_args(a, args);
}

/* Also waits for nbdkit: a plugin that does not start leaves nothing to undo
 * but its process. */
static int start_plugin(struct attach *a, struct error *why)
{
	struct state_path socket = statedir_path(a->state.name, "nbd.sock");
	struct state_path log = statedir_path(a->state.name, "log");
	static struct plugin_args args;
	bool journal = log_to_journal();
	/* the plugin's own deadline for its servers, and time to set up its
	 * memory */
	uint64_t deadline_ns = in_ns(a->timeout_s * NS_PER_S + STEP_NS);
	pid_t pid;

	plugin_args(a, &args);
	pid = nbdkit_start(args.argv, journal ? NULL : log.text, why);
	if (pid < 0)
		return -1;
	a->state.pid = pid;
	a->state.start = run_start_time(pid);
	/* saved first: if rswapctl dies now, detach finds nbdkit */
	if (statedir_save(&a->state, why) == 0 &&
	    nbdkit_wait_ready(pid, socket.text, deadline_ns, why) == 0)
		return 0;
	if (!journal)
		nbdkit_show_log(log.text, "  ");
	return -1;
}

static int stop_plugin(struct attach *a, struct error *why)
{
	return a->made_directory ? teardown_nbdkit(&a->state, why) : 0;
}

/* Works also if the kernel's answer was lost: the name of the connection finds
 * the device. */
static int disconnect(struct attach *a, struct error *why)
{
	if (!a->made_directory)
		return 0;
	statedir_recall(&a->state);
	return teardown_device(&a->state, in_ns(TEARDOWN_STEP_NS), why);
}

/* If nbdkit serves another size than attach asked for, it runs another plugin.
 */
static int hand_over(struct attach *a, const struct nbdexport *export,
		     struct error *why)
{
	struct state_path backend = statedir_backend(a->state.name);
	const struct nbd_request_connect request = {
		.number = a->number,
		.size_bytes = export->size_bytes,
		.block_bytes = 4096,
		.timeout_s = times_kernel_timeout_s(a->timeout_s),
		.server_flags = export->flags,
		.sockets = export->sockets,
		.n_sockets = export->n_sockets,
		.backend = backend.text,
	};

	if (export->size_bytes != a->size_bytes) {
		error_set(why, "nbdkit serves %" PRIu64 " bytes",
			  export->size_bytes);
		return -1;
	}
	return nbd_netlink_connect(&request, &a->lost_race, why);
}

/* There is no second connection later.  The page map dies with the plugin, and
 * a new plugin under the same device would answer zeros. */
static int connect_device(struct attach *a, struct error *why)
{
	struct state_path socket = statedir_path(a->state.name, "nbd.sock");
	struct nbdexport export;
	char backend[256];
	int number;

	if (nbdexport_open(socket.text, (int)a->connections, &export,
			   in_ns(STEP_NS), why) < 0)
		return -1;
	number = hand_over(a, &export, why);
	nbdexport_close(&export);
	if (number < 0)
		return -1;
	a->number = number;
	snprintf(a->state.device, sizeof a->state.device, "/dev/nbd%d", number);
	nbddev_backend(number, backend, sizeof backend);
	a->state.named = !strcmp(backend, statedir_backend(a->state.name).text);
	if (statedir_save(&a->state, why) < 0)
		return -1;
	if (nbddev_wait(number, true, in_ns(STEP_NS)))
		return 0;
	error_set(why, "%s is not connected afterwards", a->state.device);
	return -1;
}

static int tune_queue(struct attach *a, struct error *why)
{
	struct error slow;

	(void)why;
	if (!nbddev_tune(a->number, &slow))
		printf("  warning: %s\n", slow.text);
	return 0;
}

static int make_swap(struct attach *a, struct error *why)
{
	const char *const argv[] = { "mkswap", a->state.device, NULL };

	return run_must(argv, in_ns(STEP_NS + a->timeout_s * NS_PER_S), why);
}

/* Only a warning: an administrator may want equal priorities. */
static void tell_equal_priority(const struct attach *a)
{
	struct swap_names others;

	if (!swapinfo_shares_priority(a->state.device, (int)a->priority,
				      &others))
		return;
	printf("  warning: %s has priority %d as well: the kernel puts pages "
	       "on "
	       "both in turn, and a program needs both. To fill one first, "
	       "give it a higher one: rswapctl detach %s, then attach with "
	       "--priority=%d (or lower)\n",
	       others.text, (int)a->priority, a->state.name,
	       (int)a->priority + 1);
}

/* --discard=pages: without it the kernel never trims free slots, and every slab
 * that was used once stays used. */
static int swap_on(struct attach *a, struct error *why)
{
	char priority[12];
	const char *const argv[] = { "swapon", "--discard=pages", "-p",
				     priority, a->state.device,	  NULL };

	tell_equal_priority(a);
	snprintf(priority, sizeof priority, "%u", a->priority);
	return run_must(argv, in_ns(STEP_NS + a->timeout_s * NS_PER_S), why);
}

/* swapon may have done its work although it was killed, or its deadline passed.
 */
static int swap_off(struct attach *a, struct error *why)
{
	uint64_t lost_bytes;

	return teardown_swap(&a->state, false,
			     in_ns(STEP_NS + a->timeout_s * NS_PER_S),
			     &lost_bytes, why);
}

/* Raises the reserve, and never lowers it again: another device may be in use,
 * and the next attach would raise it anyway. */
static int set_vm(struct attach *a, struct error *why)
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

/* An undo also works if its step failed half-way or was not begun. */
static const struct step {
	const char *what;
	int (*run)(struct attach *a, struct error *why);
	int (*undo)(struct attach *a, struct error *why); /* or NULL */
} steps[] = {
	{ "load module nbd", load_module, NULL },
	{ "set vm.min_free_kbytes and compaction", set_vm, NULL },
	{ "choose nbd device, and lock its name", choose_device, NULL },
	{ "make state directory", make_directory, remove_directory },
	{ "start nbdkit with the plugin", start_plugin, stop_plugin },
	{ "connect nbd device", connect_device, disconnect },
	{ "set block queue", tune_queue, NULL },
	{ "mkswap", make_swap, NULL },
	{ "swapon", swap_on, swap_off },
};

#define N_STEPS (sizeof steps / sizeof steps[0])

/* Undoes the first N steps, from the last one back.  An undo that fails ends
 * this, because the steps below have to stay under it. */
static void undo(struct attach *a, size_t n)
{
	/* the signal that interrupted the step must not interrupt its undoing
	 */
	run_forget_signals();
	while (n-- > 0) {
		struct error why = { "" };

		if (!steps[n].undo)
			continue;
		printf("  undo: %s\n", steps[n].what);
		if (steps[n].undo(a, &why) == 0)
			continue;
		fprintf(stderr,
			"rswapctl attach: %s can't be undone: %s; the rest "
			"stays, until rswapctl detach %s\n",
			steps[n].what, why.text, a->state.name);
		return;
	}
}

static int run_steps(struct attach *a)
{
	for (size_t i = 0; i < N_STEPS; i++) {
		struct error why = { "" };
		int err;

		printf("[%zu/%zu] %s\n", i + 1, N_STEPS, steps[i].what);
		err = steps[i].run(a, &why);
		if (!err && run_interrupted()) {
			error_set(&why, "interrupted");
			err = -1;
		}
		if (err) {
			undo(a, i + 1);
			fprintf(stderr, "rswapctl attach: failed to %s: %s\n",
				steps[i].what, why.text);
			return -1;
		}
	}
	return 0;
}

/* If another program took the guessed device, attach guesses again.  So many
 * lost races in a row are unlikely. */
#define GUESSES_MAX 8

int attach_run(struct attach *a)
{
	int err;

	for (int guess = 1;; guess++) {
		a->lock_fd = -1;
		a->made_directory = a->lost_race = false;
		a->state = (struct state){ 0 };
		err = run_steps(a);
		if (a->lock_fd >= 0)
			close(a->lock_fd);
		if (!err || !a->lost_race || a->device || guess == GUESSES_MAX)
			return err;
		printf("/dev/nbd%d went to another meanwhile; once more with "
		       "the next free one\n",
		       a->number);
		a->guess_from = a->number + 1;
	}
}
