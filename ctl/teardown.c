#include "teardown.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmount.h>
#include <systemd/sd-daemon.h>

#include "blockdev.h"
#include "claim.h"
#include "clock.h"
#include "daemon.h"
#include "run.h"
#include "settings.h"
#include "survey.h"
#include "swapinfo.h"
#include "swapoff.h"
#include "swapunit.h"
#include "vmtune.h"
#include "warning.h"

#define MIB (1024 * 1024)

/* --- swap --- */

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
	if (survey.device.front_runs)
		error_set(lost, "%s is not connected to %s any more",
			  state->device, state->front->program);
	else
		error_set(lost, "%s, process %d, is gone",
			  state->front->program, (int)state->pid);
	if (!devstate_users(&survey.device, whose))
		error_set(whose, "it has no pages");
	return true;
}

/* swapoff(2) opens the device, and the kernel has ended it. */
static bool stays_on(const struct state *state, struct error *why)
{
	const struct driver *driver = state->front->driver;

	if (driver->swap_ends || driver->is_connected(statedir_number(state)))
		return false;
	error_set(why,
		  "swap on %s stays on until the machine restarts: the kernel "
		  "has ended the device with its front end, and swapoff can't "
		  "open it any more",
		  state->device);
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

void teardown_ask_for_time(uint64_t ns)
{
	sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64,
		   (uint64_t)(ns / NS_PER_US));
}

int teardown_swap(const struct state *state, bool force, uint64_t deadline_ns,
		  uint64_t *lost_bytes, struct error *why)
{
	struct swapoff_order order = { .device = state->device,
				       .force = force,
				       .deadline_ns = deadline_ns };
	struct swap_usage swap;
	struct error lost, whose;

	*lost_bytes = 0;
	if (statedir_number(state) < 0 || statedir_is_foreign(state))
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
		order.lost = true;
		if (stays_on(state, why))
			return -1;
	}
	return swapoff_run(&order, why);
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

/* What claim returns where the device is gone meanwhile. */
#define GONE (-2)

/* Opens the device exclusively: a descriptor, -1 or GONE.  A tool that was
 * killed may have the device open until its request in the kernel ends. */
static int claim(const struct state *state, uint64_t deadline_ns,
		 struct error *why)
{
	const char *name = state->device + strlen("/dev/");

	for (;;) {
		int fd = is_used(state, why) ? -EBADF : claim_device(name);

		if (fd == -EBADF)
			return -1;
		if (fd >= 0)
			return fd;
		if (!statedir_is_connected(state))
			return GONE;
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

/* Claimed. */
static int disconnect(const struct state *state, struct error *why)
{
	const struct driver *driver = state->front->driver;

	settings_put_back(statedir_path(state->name, "queue").text, NULL, NULL);
	if (!driver->disconnect)
		return 0;
	printf("disconnect %s\n", state->device);
	return driver->disconnect(statedir_number(state), why);
}

int teardown_device(const struct state *state, uint64_t claim_deadline_ns,
		    struct error *why)
{
	const struct driver *driver = state->front->driver;
	bool ours;
	int fd, err = 0;

	if (!statedir_is_connected(state))
		return 0;
	fd = claim(state, claim_deadline_ns, why);
	if (fd < 0)
		return fd == GONE ? 0 : -1;
	/* as long as it is open no program can connect it anew */
	ours = statedir_is_connected(state);
	if (ours)
		err = disconnect(state, why);
	close(fd);
	if (!ours || err || !driver->disconnect)
		return err;
	if (driver_wait(driver, statedir_number(state), false,
			clock_now_ns() + TEARDOWN_STEP_NS) ||
	    statedir_is_foreign(state))
		return 0;
	error_set(why, "%s stays connected", state->device);
	return -1;
}

/* The front end does not end by itself.  To kill it would take the pages of
 * whatever uses its device. */
static int kill_front(const struct state *state, struct error *why)
{
	bool killed;
	int fd = -1;

	if (statedir_is_connected(state)) {
		fd = claim(state, clock_now_ns(), why);
		if (fd < 0 && fd != GONE)
			return -1;
	}
	killed = daemon_kill(state->pid, state->start);
	if (fd >= 0)
		close(fd);
	if (killed)
		return 0;
	error_set(why, "%s, process %d, does not end", state->front->program,
		  (int)state->pid);
	return -1;
}

/* What it leaves is only a number, once the kernel has ended the device of a
 * process that is gone. */
static void sweep(const struct state *state)
{
	const struct driver *driver = state->front->driver;
	int number = statedir_number(state);
	struct front_path program;
	struct error why;

	if (statedir_is_connected(state))
		driver_wait(driver, number, false,
			    clock_now_ns() + TEARDOWN_CLAIM_NS);
	if (number < 0 || statedir_is_foreign(state) ||
	    !front_find(state->front, &program))
		return;
	if (driver->sweep(number, program.text, &why) < 0)
		warning_print("%s", why.text);
}

/* Somebody may have begun to use a device that is still there, and somebody may
 * have asked the front end to end before.  A second SIGTERM would end it by
 * force, SIGHUP never does (rswap-ublk(8)). */
static bool ask_to_end(const struct state *state)
{
	int sig = statedir_is_connected(state) ? SIGHUP : SIGTERM;

	return daemon_stop(state->pid, state->start, sig,
			   clock_now_ns() + TEARDOWN_STEP_NS);
}

int teardown_front(const struct state *state, struct error *why)
{
	if (statedir_running(state)) {
		printf("stop %s (process %d)\n", state->front->program,
		       (int)state->pid);
		if (!ask_to_end(state) && kill_front(state, why) < 0)
			return -1;
	}
	sweep(state);
	return 0;
}

void teardown_directory(const struct state *state)
{
	swapunit_forget(state->device, state->name);
	statedir_remove(state->name);
	vmtune_put_back();
}
