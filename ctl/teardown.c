#include "teardown.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmount.h>
#include <systemd/sd-daemon.h>

#include "blockdev.h"
#include "clock.h"
#include "nbd_netlink.h"
#include "nbddev.h"
#include "nbdkit.h"
#include "run.h"
#include "survey.h"
#include "swapinfo.h"

#define MIB (1024 * 1024)

/* Whether the device's connection is another program's: ours had a name, and
 * this one has another name or none.  Then our connection is gone, and rswapctl
 * leaves the device alone. */
static bool is_foreign(const struct state *state, int number)
{
	char backend[256];

	if (!state->named || !nbddev_connected(number))
		return false;
	nbddev_backend(number, backend, sizeof backend);
	return strcmp(backend, statedir_backend(state->name).text) != 0;
}

/* --- swap --- */

/* All pages that are swapped out come back into memory, or go to other swap.
 * swapoff does not check for room first: the machine would run out of memory.
 */
static int check_room(const struct state *state, const struct swap_usage *swap,
		      bool force, struct error *why)
{
	uint64_t memory_bytes = meminfo_bytes("MemAvailable");

	if (swap->used_bytes <= memory_bytes + swap->other_free_bytes)
		return 0;
	error_set(why,
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

/* Under systemd, stopping a service has a deadline of its own. */
static void ask_for_time(uint64_t deadline_ns)
{
	uint64_t us =
		(clock_left_ns(deadline_ns) + 3 * TEARDOWN_STEP_NS) / NS_PER_US;

	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, us);
}

/* Whether swapoff, which failed with the error WHY, is to be run again.
 *
 * At shutdown systemd runs swapoff as well.  The kernel lets one of the two
 * work, and tells the other that there is no such swap device.  The other one
 * waits until swap is off, or tries again if the first one gave up.
 *
 * swapoff of a dead device charges each page to the page's control group,
 * although the page cannot be read.  If the group is full, the kernel ends a
 * process of the group, and swapoff fails.  The next swapoff gets further. */
static bool runs_again(const struct error *why, const struct swap_usage *was,
		       const struct swap_usage *now, bool lost)
{
	if (strstr(why->text, "Invalid argument"))
		return true;
	return lost && strstr(why->text, "Cannot allocate memory") &&
	       now->used_bytes < was->used_bytes;
}

static int run_swapoff(const char *device, bool lost, uint64_t deadline_ns,
		       struct error *why)
{
	const char *const argv[] = { "swapoff", device, NULL };
	struct swap_usage was, now;

	swapinfo_read(device, &was);
	while (run_must(argv, deadline_ns, why) < 0) {
		if (swapinfo_read(device, &now) && !now.active)
			return 0;
		if (!runs_again(why, &was, &now, lost) || run_interrupted() ||
		    !clock_left_ns(deadline_ns))
			return -1;
		was = now;
		run_pause(200);
	}
	return 0;
}

/* Whether no page can come back: LOST tells why, and WHOSE which processes have
 * pages there. */
static bool is_lost(const struct state *state, struct error *lost,
		    struct error *whose)
{
	struct state_path socket = statedir_path(state->name, "control.sock");
	const struct target target = { .name = state->name,
				       .socket = socket.text,
				       .state = state };
	struct survey survey;

	survey_target(&target, &survey);
	if (survey_judge(&survey, NULL, NULL) != DEVTROUBLE_DEAD)
		return false;
	if (survey.device.nbdkit_runs)
		error_set(lost, "%s is not connected to nbdkit any more",
			  state->device);
	else
		error_set(lost, "nbdkit, process %d, is gone", (int)state->pid);
	if (!devstate_users(&survey.device, whose))
		error_set(whose, "it has no pages");
	return true;
}

static int read_swap(const struct state *state, struct swap_usage *swap,
		     struct error *why)
{
	if (!swapinfo_read(state->device, swap)) {
		error_set(why, "/proc/swaps can't be read, or has a line that "
			       "isn't understood");
		return -1;
	}
	if (!*swap->above)
		return 0;
	error_set(why,
		  "swap is on %s, which stands on %s: end that first (swapoff, "
		  "and remove it)",
		  swap->above, state->device);
	return -1;
}

int teardown_swap(const struct state *state, bool force, uint64_t deadline_ns,
		  uint64_t *lost_bytes, struct error *why)
{
	int number = nbddev_number(state->device);
	struct swap_usage swap;
	struct error lost, whose;

	*lost_bytes = 0;
	if (number < 0 || is_foreign(state, number))
		return 0;
	if (read_swap(state, &swap, why) < 0)
		return -1;
	if (!swap.active)
		return 0;
	if (is_lost(state, &lost, &whose)) {
		printf("swapoff %s (%" PRIu64 " MiB are lost, but for what is "
		       "still in memory: %s)\n  %s\n",
		       state->device, swap.used_bytes / MIB, lost.text,
		       whose.text);
		*lost_bytes = swap.used_bytes;
	} else {
		if (check_room(state, &swap, force, why) < 0)
			return -1;
		printf("swapoff %s (%" PRIu64 " MiB to bring back)\n",
		       state->device, swap.used_bytes / MIB);
	}
	ask_for_time(deadline_ns);
	return run_swapoff(state->device, *lost_bytes > 0, deadline_ns, why);
}

/* --- the device --- */

/* Whether the device, or a device that stands on it, is mounted. */
static bool is_mounted(const struct blockdev_stack *stack, struct error *why)
{
	struct libmnt_table *mounts =
		mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_fs *fs = NULL;

	for (int i = 0; mounts && i < stack->n && !fs; i++) {
		dev_t dev = stack->devices[i].dev;

		fs = dev ? mnt_table_find_devno(mounts, dev, MNT_ITER_FORWARD)
			 : NULL;
		if (fs)
			error_set(why, "%s is mounted on %.150s",
				  stack->devices[i].label,
				  mnt_fs_get_target(fs));
	}
	mnt_unref_table(mounts);
	return fs != NULL;
}

/* Whether swap, a mount or a holder uses the device: WHY names it. */
static bool is_used(const struct state *state, struct error *why)
{
	struct blockdev_stack stack;
	struct swap_usage swap;

	if (read_swap(state, &swap, why) < 0)
		return true;
	if (swap.active) {
		error_set(why, "%s is swapped to", state->device);
		return true;
	}
	blockdev_read_stack(state->device + strlen("/dev/"), &stack);
	if (is_mounted(&stack, why))
		return true;
	if (stack.n < 2)
		return false;
	error_set(why, "%s stands on %s: remove it first",
		  stack.devices[1].label, state->device);
	return true;
}

/* Another program has the device open exclusively.  If /proc shows the process,
 * WHY names it. */
static void tell_opener(const struct state *state, struct error *why)
{
	char name[32];
	pid_t pid = run_find_opener(state->device, name, sizeof name);

	if (pid)
		error_set(why,
			  "%s: a program has it open exclusively: process %d "
			  "(%s)",
			  state->device, (int)pid, name);
	else
		error_set(why, "%s: a program has it open exclusively",
			  state->device);
}

/* Opens the device exclusively.  A tool that was killed may have the device
 * open until its request in the kernel ends. */
static int claim(const struct state *state, int number, uint64_t deadline_ns,
		 struct error *why)
{
	for (;;) {
		int fd = is_used(state, why) ? -EBADF
					     : nbd_netlink_claim(number);

		if (fd == -EBADF)
			return -1;
		if (fd >= 0)
			return fd;
		if (fd == -EBUSY && !run_interrupted() &&
		    clock_left_ns(deadline_ns)) {
			run_pause(50);
			continue;
		}
		if (fd == -EBUSY)
			tell_opener(state, why);
		else
			error_set(why, "%s: %s", state->device, strerror(-fd));
		return -1;
	}
}

int teardown_device(const struct state *state, uint64_t claim_deadline_ns,
		    struct error *why)
{
	int number = nbddev_number(state->device);
	bool ours;
	int fd, err = 0;

	if (number < 0 || !nbddev_connected(number) ||
	    is_foreign(state, number))
		return 0;
	fd = claim(state, number, claim_deadline_ns, why);
	if (fd < 0)
		return -1;
	/* as long as it is open no program can connect it anew */
	ours = nbddev_connected(number) && !is_foreign(state, number);
	if (ours) {
		printf("disconnect %s\n", state->device);
		err = nbd_netlink_disconnect(number, why);
	}
	close(fd);
	if (!ours || err)
		return err;
	if (nbddev_wait(number, false, clock_now_ns() + TEARDOWN_STEP_NS) ||
	    is_foreign(state, number))
		return 0;
	error_set(why, "%s stays connected", state->device);
	return -1;
}

int teardown_nbdkit(const struct state *state, struct error *why)
{
	if (!statedir_running(state))
		return 0;
	printf("stop nbdkit (process %d)\n", (int)state->pid);
	if (nbdkit_stop(state->pid, clock_now_ns() + TEARDOWN_STEP_NS))
		return 0;
	error_set(why, "nbdkit, process %d, does not end", (int)state->pid);
	return -1;
}
