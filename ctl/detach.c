#include "detach.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "clock.h"
#include "cmd.h"
#include "nbddev.h"
#include "nbdkit.h"
#include "options.h"
#include "run.h"
#include "swapinfo.h"

#define MIB (1024 * 1024)
/* What disconnecting and stopping take at most, after swapoff. */
#define STEP_NS (30 * NS_PER_S)
#define ALL_MAX 256

static struct {
	bool all;
	bool force;
	bool if_attached;
	uint64_t timeout_s;
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
	{ .name = "timeout",
	  .metavar = "SECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "deadline of swapoff (default 900)",
	  .min = 1,
	  .max = 86400,
	  .out.number = &args.timeout_s },
	{ .name = NULL },
};

static const struct usage usage = {
	.synopsis = "detach [NAME|DEVICE|--all] [OPTION]...",
	.about = "End swapping: swapoff, disconnect the nbd device, stop "
		 "nbdkit, in that order.\nWithout a NAME: the one that is "
		 "attached.",
	.options = options,
};

/* Everything that is swapped out comes back into memory, or goes to other swap.
 * swapoff doesn't ask first: it makes the machine run out of memory. */
static int check_room(const struct state *state, const struct swap_usage *swap,
		      bool force, struct reason *why)
{
	uint64_t memory_bytes = meminfo_bytes("MemAvailable");

	if (swap->used_bytes <= memory_bytes + swap->other_free_bytes)
		return 0;
	reason_set(why,
		   "%s holds %" PRIu64 " MiB, and there are %" PRIu64
		   " MiB for it (memory %" PRIu64 ", other swap %" PRIu64 ")",
		   state->device, swap->used_bytes / MIB,
		   (memory_bytes + swap->other_free_bytes) / MIB,
		   memory_bytes / MIB, swap->other_free_bytes / MIB);
	if (!force) {
		size_t n = strlen(why->text);

		snprintf(why->text + n, sizeof why->text - n,
			 "; free memory, or use --force");
		return -1;
	}
	printf("  warning: %s\n", why->text);
	return 0;
}

/* Under systemd, stopping has its own deadline. */
static void ask_for_time(uint64_t deadline_ns)
{
	uint64_t us = (clock_left_ns(deadline_ns) + 3 * STEP_NS) / NS_PER_US;

	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, us);
}

/* At shutdown systemd runs swapoff as well.  The kernel lets one of the two do
 * it, and tells the other that there is no such swap device: then that one
 * waits until it is off, or tries again if the first one gave up. */
static int run_swapoff(const char *device, uint64_t deadline_ns,
		       struct reason *why)
{
	const char *const argv[] = { "swapoff", device, NULL };
	struct swap_usage swap;

	while (run_must(argv, deadline_ns, why) < 0) {
		if (swapinfo_read(device, &swap) && !swap.active)
			return 0;
		if (!strstr(why->text, "Invalid argument") ||
		    run_interrupted() || !clock_left_ns(deadline_ns))
			return -1;
		run_pause(200);
	}
	return 0;
}

static int swap_off(const struct state *state, bool force, uint64_t deadline_ns,
		    struct reason *why)
{
	struct swap_usage swap;

	if (!swapinfo_read(state->device, &swap)) {
		reason_set(why, "/proc/swaps can't be read");
		return -1;
	}
	if (!swap.active)
		return 0;
	if (check_room(state, &swap, force, why) < 0)
		return -1;
	printf("swapoff %s (%" PRIu64 " MiB to bring back)\n", state->device,
	       swap.used_bytes / MIB);
	ask_for_time(deadline_ns);
	return run_swapoff(state->device, deadline_ns, why);
}

static int disconnect(const struct state *state, struct reason *why)
{
	const char *const argv[] = { "nbd-client", "-d", state->device, NULL };
	int number = nbddev_number(state->device);

	if (number < 0 || !nbddev_connected(number))
		return 0;
	printf("disconnect %s\n", state->device);
	if (run_must(argv, clock_now_ns() + STEP_NS, why) < 0)
		return -1;
	if (nbddev_wait(number, false, clock_now_ns() + STEP_NS))
		return 0;
	reason_set(why, "%s stays connected", state->device);
	return -1;
}

int detach_state(const struct state *state, bool force, uint64_t deadline_ns,
		 struct reason *why)
{
	if (swap_off(state, force, deadline_ns, why) < 0 ||
	    disconnect(state, why) < 0)
		return -1;
	if (statedir_running(state)) {
		printf("stop nbdkit (process %d)\n", (int)state->pid);
		if (!nbdkit_stop(state->pid, clock_now_ns() + STEP_NS)) {
			reason_set(why, "nbdkit, process %d, does not end",
				   (int)state->pid);
			return -1;
		}
	}
	statedir_remove(state->name);
	return 0;
}

static bool detach_name(const char *name)
{
	struct reason why;
	struct state state;

	if (statedir_load(name, &state, &why) == 0 &&
	    detach_state(&state, args.force,
			 clock_now_ns() + args.timeout_s * NS_PER_S,
			 &why) == 0) {
		printf("%s is detached\n", name);
		return true;
	}
	fprintf(stderr, "rswapctl detach: %s: %s\n", name, why.text);
	return false;
}

/* The name that WORD means: a name, or the one whose device it is. */
static const char *find_name(const char *word, char names[][STATE_NAME_MAX + 1],
			     int n)
{
	for (int i = 0; i < n; i++) {
		struct state state;
		struct reason ignored;

		if (!strcmp(names[i], word))
			return names[i];
		if (statedir_load(names[i], &state, &ignored) == 0 &&
		    !strcmp(state.device, word))
			return names[i];
	}
	return NULL;
}

/* Without a word: only where there is nothing to choose. */
static const char *only_name(char names[][STATE_NAME_MAX + 1], int n)
{
	if (n == 0 && args.if_attached)
		return NULL;
	if (n == 0)
		options_die(&usage, "nothing is attached");
	if (n > 1)
		options_die(&usage,
			    "%d devices are attached; allowed is one "
			    "of their names (rswapctl status), or --all",
			    n);
	return names[0];
}

int cmd_detach(int argc, char **argv)
{
	static char names[ALL_MAX][STATE_NAME_MAX + 1];
	int words = options_parse(&usage, argc, argv);
	const char *name;
	bool ok = true;
	int n;

	if (words > 1)
		options_die(&usage, "%s: one NAME or DEVICE is allowed",
			    argv[1]);
	if (words && args.all)
		options_die(&usage, "--all: allowed is either this or %s",
			    argv[0]);
	if (geteuid() != 0)
		options_die(&usage, "only root can detach a swap device");
	n = statedir_list(names, ALL_MAX);
	run_catch_signals();
	if (args.all) {
		for (int i = 0; i < n && !run_interrupted(); i++)
			ok = detach_name(names[i]) && ok;
		return ok ? EXIT_OK : EXIT_FAILED;
	}
	name = words ? find_name(argv[0], names, n) : only_name(names, n);
	if (!name && args.if_attached)
		return EXIT_OK;
	if (!name)
		options_die(&usage,
			    "%s: no such device is attached; allowed "
			    "are those that rswapctl status shows",
			    argv[0]);
	return detach_name(name) ? EXIT_OK : EXIT_FAILED;
}
