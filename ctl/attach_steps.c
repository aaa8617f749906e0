/* Steps and their undoing.  Each step has its own deadline; the undoing has
 * deadlines of its own as well, so that a dead server can't hold up the end.
 * The lock of the name is held from the choice of the name to the end. */
#include "attach.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "beside.h"
#include "clock.h"
#include "ctlsock.h"
#include "daemon.h"
#include "journal.h"
#include "netstay.h"
#include "queuetune.h"
#include "run.h"
#include "size.h"
#include "swapinfo.h"
#include "swapunit.h"
#include "teardown.h"
#include "times.h"
#include "vmtune.h"
#include "warning.h"

#define STEP_NS (30 * NS_PER_S)
/* How much longer a front end may take that asks a pool for its servers first,
 * and may reserve their memory.
 */
#define POOL_STEP_NS (30 * NS_PER_S)

static uint64_t in_ns(uint64_t ns)
{
	return clock_now_ns() + ns;
}

static const struct driver *driver_of_attach(const struct attach *a)
{
	return a->front->driver;
}

static int load_driver(struct attach *a, struct error *why)
{
	return driver_of_attach(a)->load(in_ns(STEP_NS), why);
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
	const struct driver *driver = driver_of(a->device, &a->number);
	struct error used;

	if (!driver->may_name(a->number, why))
		return -1;
	if (lock_name(a, a->name ? a->name : a->device + strlen("/dev/"),
		      in_ns(STEP_NS), why) < 0)
		return -1;
	/* checked with the lock held: another attach may just have ended */
	if (driver->is_free(a->number, &used))
		return 0;
	error_set(why, "%s is in use: %.150s", a->device, used.text);
	return -1;
}

/* Without --name the device gives the name.  So attach asks for the first free
 * device whose name no other rswapctl has locked.  If none is free, the kernel
 * makes another one. */
static int guess_device(struct attach *a, struct error *why)
{
	const struct driver *driver = driver_of_attach(a);
	struct error ignored;

	for (a->number = a->guess_from; a->number < driver->numbers;
	     a->number++) {
		struct driver_name name = driver_device(driver, a->number);

		if (!driver->is_free(a->number, &ignored) ||
		    lock_name(a, name.text, 0, &ignored) < 0)
			continue;
		if (driver->is_free(a->number, &ignored) &&
		    !statedir_in_use(name.text, &ignored))
			return 0;
		close(a->lock_fd);
		a->lock_fd = -1;
	}
	error_set(why, "none of the devices /dev/%sN is free", driver->prefix);
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

/* What the pages go to: the pool, and the servers that are named. */
static void note_servers(struct attach *a)
{
	const char *pool = a->keys[KEY_POOL];
	size_t room = sizeof a->state.servers;
	size_t have = (size_t)snprintf(a->state.servers, room, "%.900s",
				       pool ? pool : "");

	for (int i = 0; i < a->n_servers && have < room; i++)
		have += (size_t)snprintf(a->state.servers + have, room - have,
					 "%s%s", have ? " " : "",
					 a->servers[i]);
}

static int make_directory(struct attach *a, struct error *why)
{
	if (statedir_create(a->state.name, why) < 0)
		return -1;
	a->made_directory = true;
	a->state.size_bytes = a->size_bytes;
	a->state.front = a->front;
	a->state.attaching = true;
	snprintf(a->state.choice, sizeof a->state.choice, "%.159s",
		 a->choice.text);
	note_servers(a);
	return statedir_save(&a->state, why);
}

static int remove_directory(struct attach *a, struct error *why)
{
	(void)why;
	if (a->made_directory)
		teardown_directory(&a->state);
	return 0;
}

/* Without --tune only a warning, as an administrator may know better. */
static int set_vm(struct attach *a, struct error *why)
{
	uint64_t now_kib = reserve_now_kib();
	uint64_t wanted_kib = reserve_wanted_kib();

	if (a->tune)
		return vmtune_set(VMTUNE_ATTACH, why);
	if (now_kib < wanted_kib)
		warning_print("vm.min_free_kbytes is %" PRIu64
			      ", and should be %" PRIu64
			      ": sending a page away takes memory",
			      now_kib, wanted_kib);
	return 0;
}

/* Where front end and device meet. */
struct meeting {
	struct state_path socket, control, pidfile;
	struct driver_link link;
};

static const struct driver_link *meet(const struct attach *a, struct meeting *m)
{
	const char *name = a->state.name;

	m->socket = statedir_path(name, "nbd.sock");
	m->control = statedir_path(name, "control.sock");
	m->pidfile = statedir_path(name, "pid");
	m->link = (struct driver_link){
		.program = a->front->program,
		.socket = m->socket.text,
		.control = m->control.text,
		.pidfile = m->pidfile.text,
		.number = a->number,
		.size_bytes = a->size_bytes,
		.connections = a->connections,
		.timeout_s = a->timeout_s,
	};
	return &m->link;
}

static pid_t start_program(const struct attach *a,
			   const struct driver_link *link, const char *log,
			   struct error *why)
{
	static struct argvec args;
	const struct front_order order = {
		.servers = a->servers,
		.n_servers = a->n_servers,
		.keys = a->keys,
		.plugin = a->plugin,
		.lanes = a->lanes,
		.link = link,
	};
	struct front_path program;

	if (!front_find(a->front, &program)) {
		error_set(why, "%s is not installed", a->front->program);
		return -1;
	}
	front_command(a->front, &program, &order, &args);
	return daemon_start(args.argv, log, why);
}

/* Also waits for the front end: one that does not start leaves nothing to undo
 * but its process. */
static int start_front(struct attach *a, struct error *why)
{
	struct state_path log = statedir_path(a->state.name, "log");
	/* The journal keeps what the front end says, in rswapctl's stream.  A
	 * file in /run would only grow. */
	bool journal = journal_has(STDERR_FILENO);
	struct meeting meeting;
	const struct driver_link *link = meet(a, &meeting);
	/* the front end's own deadlines for its pool and its servers, and time
	 * to set up its memory */
	uint64_t pool_ns = a->keys[KEY_POOL] ? POOL_STEP_NS : 0;
	uint64_t deadline_ns =
		in_ns(pool_ns + a->timeout_s * NS_PER_S + STEP_NS);
	pid_t pid;

	printf("  %s: %s\n", a->front->what, a->choice.text);
	pid = start_program(a, link, journal ? NULL : log.text, why);
	if (pid < 0)
		return -1;
	a->state.pid = pid;
	a->state.start = run_start_time(pid);
	/* saved first: if rswapctl dies now, detach finds the process */
	if (statedir_save(&a->state, why) == 0 &&
	    daemon_wait_ready(a->front, pid, link, deadline_ns, why) == 0)
		return 0;
	a->no_front = true;
	if (!journal)
		daemon_show_log(log.text, "  ");
	return -1;
}

static int stop_front(struct attach *a, struct error *why)
{
	return a->made_directory ? teardown_front(&a->state, why) : 0;
}

/* Works also if the kernel's answer was lost: the driver finds the device. */
static int disconnect(struct attach *a, struct error *why)
{
	if (!a->made_directory)
		return 0;
	statedir_recall(&a->state);
	return teardown_device(&a->state, in_ns(TEARDOWN_STEP_NS), why);
}

/* So its figures can be found by the name that the kernel's figures have. */
static void tell_front_its_device(const struct attach *a)
{
	struct state_path control =
		statedir_path(a->state.name, "control.sock");
	char command[CTLSOCK_COMMAND_MAX];
	struct json_object *answer;
	struct error unknown;

	snprintf(command, sizeof command, "device %.48s", a->state.device);
	answer = answer_ask(control.text, command, &unknown);
	if (!answer)
		warning_print("the figures of %s do not name %s: %.150s",
			      a->state.name, a->state.device, unknown.text);
	answer_put(answer);
}

static int connect_device(struct attach *a, struct error *why)
{
	struct meeting meeting;
	const struct driver *driver = driver_of_attach(a);
	int number = driver->connect(meet(a, &meeting), in_ns(STEP_NS),
				     &a->lost_race, why);

	if (number < 0)
		return -1;
	a->number = number;
	statedir_set_device(&a->state, number);
	if (statedir_save(&a->state, why) < 0)
		return -1;
	if (!driver_wait(driver, number, true, in_ns(STEP_NS))) {
		error_set(why, "%s is not connected afterwards",
			  a->state.device);
		return -1;
	}
	if (!driver->made_by_front)
		tell_front_its_device(a);
	return 0;
}

static int tune_queue(struct attach *a, struct error *why)
{
	struct state_path record = statedir_path(a->state.name, "queue");
	struct error slow;

	(void)why;
	if (a->tune && !queuetune_set(a->state.device + strlen("/dev/"),
				      record.text, &slow))
		warning_print("%s", slow.text);
	return 0;
}

static int run_mkswap(const struct attach *a, struct error *why)
{
	const char *const argv[] = { "mkswap", a->state.device, NULL };

	return run_must(argv, in_ns(STEP_NS + a->timeout_s * NS_PER_S), why);
}

/* By the front end, which the kernel has closed one to. */
static bool lacks_connections(const struct attach *a)
{
	struct state_path control =
		statedir_path(a->state.name, "control.sock");
	struct error ignored;
	struct json_object *answer =
		answer_ask(control.text, "status", &ignored);
	bool lacks = answer && answer_at(answer, "connections") &&
		     answer_number(answer, "connections") <
			     driver_of_attach(a)->connections(a->number);

	answer_put(answer);
	return lacks;
}

static bool is_cut_off(const struct attach *a)
{
	const struct driver *driver = driver_of_attach(a);

	return driver->is_cut_off &&
	       (driver->is_cut_off(a->number) || lacks_connections(a));
}

static int connect_again(struct attach *a, struct error *why)
{
	printf("  the kernel serves only one connection of %s: connecting "
	       "again\n",
	       a->state.device);
	fflush(stdout);
	if (disconnect(a, why) < 0 || connect_device(a, why) < 0)
		return -1;
	return tune_queue(a, why);
}

/* On a very slow machine it shows only now that a connection gets no replies;
 * mkswap then had to wait for the kernel's timeout, and the kernel may have
 * given the connection up.  Nothing but mkswap has written to the device yet,
 * so it can be connected anew, in the end by one connection, which needs no
 * other. */
static int make_swap(struct attach *a, struct error *why)
{
	for (int attempt = 1;; attempt++) {
		int err = run_mkswap(a, why);

		if (run_interrupted() || a->connections == 1 || !is_cut_off(a))
			return err;
		if (attempt > 1)
			a->connections = 1;
		if (connect_again(a, why) < 0)
			return -1;
	}
}

static void warn(void *arg, const struct finding *finding)
{
	(void)arg;
	warning_print("%s [%s]  -> %s", finding->what, finding_name(finding),
		      finding_action(finding));
}

/* Only warnings: an administrator may want it so. */
static void warn_of_beside(const struct attach *a)
{
	const char *encrypt = a->keys[KEY_ENCRYPT];
	const struct beside beside = {
		.device = a->state.device,
		.priority = (int)a->priority,
		.sealed = !encrypt || strcmp(encrypt, "off") != 0,
		.start = a->state.start,
	};

	beside_judge(&beside, warn, NULL);
	beside_judge_machine(warn, NULL);
}

static void warn_of_network(const struct attach *a)
{
	struct state_path control =
		statedir_path(a->state.name, "control.sock");
	struct error ignored;
	struct json_object *status =
		answer_ask(control.text, "status", &ignored);

	netstay_judge(status, warn, NULL);
	answer_put(status);
}

/* --discard=pages: without it the kernel never trims free slots, and every slab
 * that was used once stays used. */
static int swap_on(struct attach *a, struct error *why)
{
	char priority[12];
	const char *const argv[] = { "swapon", "--discard=pages", "-p",
				     priority, a->state.device,	  NULL };

	struct error why_off;

	warn_of_beside(a);
	warn_of_network(a);
	if (swapunit_keep_on(a->state.device, a->state.name, &why_off))
		warning_print("systemd runs swapoff when the machine goes "
			      "down: %s",
			      why_off.text);
	snprintf(priority, sizeof priority, "%u", a->priority);
	if (run_must(argv, in_ns(STEP_NS + a->timeout_s * NS_PER_S), why) < 0)
		return -1;
	a->state.attaching = false;
	return statedir_save(&a->state, why);
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

/* An undo also works if its step failed half-way or was not begun. */
static const struct step {
	const char *what;
	int (*run)(struct attach *a, struct error *why);
	int (*undo)(struct attach *a, struct error *why); /* or NULL */
} steps[] = {
	{ "load the driver", load_driver, NULL },
	{ "choose a device, and lock its name", choose_device, NULL },
	{ "make state directory", make_directory, remove_directory },
	{ "set the kernel's memory settings", set_vm, NULL },
	{ "start the front end", start_front, stop_front },
	{ "connect the device", connect_device, disconnect },
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
	/* swapoff, the device, the front end */
	teardown_ask_for_time(a->timeout_s * NS_PER_S + 4 * STEP_NS);
	while (n-- > 0) {
		struct error why = { "" };

		if (!steps[n].undo)
			continue;
		printf("  undo: %s\n", steps[n].what);
		if (steps[n].undo(a, &why) == 0)
			continue;
		warning_error(
			"rswapctl attach: %s can't be undone: %s; the rest "
			"stays, until rswapctl detach %s",
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
			warning_error("rswapctl attach: failed to %s: %s",
				      steps[i].what, why.text);
			return -1;
		}
	}
	return 0;
}

/* If another program took the guessed device, attach guesses again.  So many
 * lost races in a row are unlikely. */
#define GUESSES_MAX 8

/* A front end that makes its device does not start where the number is taken.
 */
static bool lost_race(const struct attach *a)
{
	const struct driver *driver = driver_of_attach(a);
	struct error ignored;

	return a->lost_race ||
	       (a->no_front && driver->made_by_front && a->number >= 0 &&
		!driver->is_free(a->number, &ignored));
}

int attach_run(struct attach *a)
{
	unsigned connections = a->connections;
	int err;

	for (int guess = 1;; guess++) {
		a->connections = connections; /* make_swap may have left one */
		a->lock_fd = -1;
		a->made_directory = a->no_front = a->lost_race = false;
		a->state = (struct state){ .front = a->front };
		err = run_steps(a);
		if (a->lock_fd >= 0)
			close(a->lock_fd);
		if (!err || !lost_race(a) || a->device || guess == GUESSES_MAX)
			return err;
		printf("/dev/%s went to another meanwhile; once more with the "
		       "next free one\n",
		       driver_device(driver_of_attach(a), a->number).text);
		a->guess_from = a->number + 1;
	}
}
