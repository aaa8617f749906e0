#include "detach.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "options.h"
#include "run.h"
#include "statedir.h"
#include "teardown.h"
#include "warning.h"

#define MIB (1024 * 1024)
/* How long to wait for another rswapctl. */
#define LOCK_NS (30 * NS_PER_S)
#define ALL_MAX 256

static struct {
	bool all;
	bool force;
	bool if_attached;
	bool if_dead;
	unsigned timeout_s;
} args = { .timeout_s = DETACH_DEFAULT_S };

static const struct option_spec options[] = {
	{ .name = "all",
	  .kind = OPTION_FLAG,
	  .help = "every attached device",
	  .out.flag = &args.all },
	{ .name = "force",
	  .kind = OPTION_FLAG,
	  .help = "even if memory may not hold what comes back",
	  .out.flag = &args.force },
	{ .name = "if-attached",
	  .kind = OPTION_FLAG,
	  .help = "nothing to detach is no error",
	  .out.flag = &args.if_attached },
	{ .name = "if-dead",
	  .kind = OPTION_FLAG,
	  .help = "only if its front end has ended, or attach was killed",
	  .out.flag = &args.if_dead },
	{ .name = "timeout",
	  .metavar = "SECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "deadline of swapoff",
	  .preset = "900",
	  .min = 1,
	  .max = 86400,
	  .out.number = &args.timeout_s },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl detach",
	.args = "[NAME|DEVICE|--all]",
	.about = "End swapping: swapoff, disconnect the device, stop its "
		 "front end, in that order.  Without a NAME: the one that is "
		 "attached.",
	.options = options,
};

/* With the lock held: the steps from swapoff to the state directory. */
static int take_apart(const struct state *state,
		      const struct detach_request *request,
		      struct detach_outcome *outcome, struct error *why)
{
	if (teardown_swap(state, request->force, request->deadline_ns,
			  &outcome->lost_bytes, why) < 0 ||
	    teardown_device(state, clock_now_ns() + TEARDOWN_CLAIM_NS, why) <
		    0 ||
	    teardown_front(state, why) < 0)
		return -1;
	teardown_directory(state);
	return 0;
}

/* An attach that was killed may leave a front end and a device, which nobody
 * uses or ends. */
static bool is_served(const struct state *state)
{
	return !state->attaching && statedir_running(state) &&
	       statedir_is_connected(state);
}

/* Under systemd the stop of a service has a deadline of its own, which is
 * short: it is also how long systemd waits for a front end that had to be left
 * running.  In ExecStopPost= it waits for that until the deadline that was
 * asked for, though this process has ended: so it is asked for only where there
 * is something to take apart. */
static void ask_for_time(uint64_t deadline_ns)
{
	teardown_ask_for_time(LOCK_NS + clock_left_ns(deadline_ns) +
			      3 * TEARDOWN_STEP_NS);
}

int detach_name(const char *name, const struct detach_request *request,
		struct detach_outcome *outcome, struct error *why)
{
	struct error ignored;
	struct state state;
	int lock_fd, err = 0;

	if (!request->if_dead)
		ask_for_time(request->deadline_ns);
	lock_fd = statedir_lock(name, clock_now_ns() + LOCK_NS, why);
	*outcome = (struct detach_outcome){ 0 };
	if (lock_fd < 0)
		return -1;
	if (access(statedir_path(name, "").text, F_OK) < 0) {
		outcome->was_gone = true;
	} else {
		/* An attach that was killed early leaves a directory without a
		 * state file. */
		statedir_load(name, &state, &ignored);
		statedir_recall(&state);
		outcome->lives = request->if_dead && is_served(&state);
		if (!outcome->lives) {
			if (request->if_dead)
				ask_for_time(request->deadline_ns);
			err = take_apart(&state, request, outcome, why);
		}
	}
	close(lock_fd);
	return err;
}

static enum exit_status detach(const char *name)
{
	const struct detach_request request = {
		.force = args.force,
		.if_dead = args.if_dead,
		.deadline_ns = clock_now_ns() + args.timeout_s * NS_PER_S,
	};
	struct detach_outcome outcome;
	struct error why;

	if (detach_name(name, &request, &outcome, &why) < 0) {
		warning_error("rswapctl detach: %s: %s", name, why.text);
		return EXIT_FAILED;
	}
	if (args.if_dead && (outcome.lives || outcome.was_gone))
		return EXIT_OK;
	if (outcome.lost_bytes) {
		warning_error(
			"rswapctl detach: %s is detached; %" PRIu64
			" MiB that were swapped out are lost, and a process "
			"that touches them gets SIGBUS",
			name, outcome.lost_bytes / MIB);
		return EXIT_LOST;
	}
	printf("%s is detached%s\n", name, outcome.was_gone ? " already" : "");
	return EXIT_OK;
}

/* The name that WORD is, or whose device WORD is.  Another name may have had
 * that device before, and be left. */
static const char *find_name(const char *word, char names[][STATE_NAME_MAX + 1],
			     int n)
{
	for (int i = 0; i < n; i++) {
		struct state state;
		struct error ignored;

		if (!strcmp(names[i], word))
			return names[i];
		if (statedir_load(names[i], &state, &ignored) == 0 &&
		    !strcmp(state.device, word) && !statedir_is_foreign(&state))
			return names[i];
	}
	return NULL;
}

/* Whether nothing to detach is no error. */
static bool may_be_none(void)
{
	return args.if_attached || args.if_dead;
}

/* The name without a word: only if one device is attached. */
static const char *only_name(char names[][STATE_NAME_MAX + 1], int n)
{
	if (n == 0 && may_be_none())
		return NULL;
	if (n == 0)
		options_die(&cmdline, "nothing is attached");
	if (n > 1)
		options_die(&cmdline,
			    "%d devices are attached; allowed is one "
			    "of their names (rswapctl status), or --all",
			    n);
	return names[0];
}

/* A failure counts for more than a loss. */
static enum exit_status detach_all(char names[][STATE_NAME_MAX + 1], int n)
{
	enum exit_status worst = EXIT_OK;

	for (int i = 0; i < n && !run_interrupted(); i++) {
		enum exit_status status = detach(names[i]);

		if (worst != EXIT_FAILED && status != EXIT_OK)
			worst = status;
	}
	return worst;
}

int cmd_detach(int argc, char **argv)
{
	static char names[ALL_MAX][STATE_NAME_MAX + 1];
	int words = options_parse(&cmdline, argc, argv);
	const char *name;
	int n;

	if (words > 1)
		options_die(&cmdline, "%s: one NAME or DEVICE is allowed",
			    argv[1]);
	if (words && args.all)
		options_die(&cmdline, "--all: allowed is either this or %s",
			    argv[0]);
	if (geteuid() != 0)
		options_die(&cmdline, "only root can detach a swap device");
	n = statedir_list(names, ALL_MAX);
	run_catch_signals();
	if (args.all)
		return detach_all(names, n);
	name = words ? find_name(argv[0], names, n) : only_name(names, n);
	if (!name && may_be_none())
		return EXIT_OK;
	if (!name)
		options_die(&cmdline,
			    "%s: no such device is attached; allowed "
			    "are those that rswapctl status shows",
			    argv[0]);
	return detach(name);
}
