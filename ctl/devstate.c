#include "devstate.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockdev.h"
#include "ctlsock.h"
#include "swapusers.h"

#define MIB (1024 * 1024)

/* --- looking --- */

static void read_in_flight(struct devstate *d, int number)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof path, "/sys/block/nbd%d/inflight", number);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &d->reads_in_flight,
		   &d->writes_in_flight) != 2)
		d->reads_in_flight = d->writes_in_flight = 0;
	fclose(f);
}

static unsigned count_queues(int number)
{
	struct dirent *entry;
	unsigned n = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof path, "/sys/block/nbd%d/mq", number);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

/* The names of the devices that stand on the device, and on those. */
static void read_holders(struct devstate *d)
{
	struct blockdev_stack stack;
	size_t have = 0;

	blockdev_read_stack(d->state->device + strlen("/dev/"), &stack);
	for (int i = 1; i < stack.n && have < sizeof d->holders; i++)
		have += (size_t)snprintf(
			d->holders + have, sizeof d->holders - have, "%s%s",
			have ? " " : "", stack.devices[i].name);
}

void devstate_read(const struct state *state, struct devstate *d)
{
	int number = nbddev_number(state->device);
	uint64_t used_bytes =
		meminfo_bytes("SwapTotal") - meminfo_bytes("SwapFree");

	*d = (struct devstate){ .state = state };
	d->nbdkit_runs = statedir_running(state);
	d->swap_known = swapinfo_read(state->device, &d->swap);
	snprintf(d->swap_device, sizeof d->swap_device, "%s",
		 d->swap.active ? d->swap.device : state->device);
	if (number >= 0) {
		d->connected = nbddev_connected(number) &&
			       nbddev_size_bytes(number) > 0;
		d->queues = count_queues(number);
		read_in_flight(d, number);
		read_holders(d);
	}
	d->shared_swap = used_bytes > d->swap.used_bytes;
}

/* Requests of the kernel that the plugin has seen. */
static uint64_t seen(const char *answer)
{
	static const char *const keys[] = { "reads", "read_errors" };
	uint64_t sum = 0;
	char value[32];

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		if (ctlsock_value(answer, keys[i], value, sizeof value))
			sum += strtoull(value, NULL, 10);
	}
	return sum;
}

/* If the plugin itself failed the read, the failure says nothing about the
 * device: then the plugin's counters have changed.  ANSWER is invalid after
 * ASK. */
static enum devprobe probe(const struct devstate *d, const char *answer,
			   const char *(*ask)(void *arg), void *arg)
{
	uint64_t before = seen(answer);
	enum devprobe result = devprobe_read(d->state->device);

	if (result != DEVPROBE_FAILS)
		return result;
	answer = ask(arg);
	return answer && seen(answer) == before ? DEVPROBE_FAILS
						: DEVPROBE_UNKNOWN;
}

struct devanswer devstate_ask(const struct devstate *d, const char *answer,
			      const char *(*ask)(void *arg), void *arg)
{
	struct devanswer told = { .answers = answer != NULL,
				  .probe = DEVPROBE_UNKNOWN };
	char value[32];

	if (!answer)
		return told;
	if (ctlsock_value(answer, "connections", value, sizeof value)) {
		told.tells = true;
		told.connections = strtoull(value, NULL, 10);
	}
	if (d->connected && d->swap.active && told.connections > 0)
		told.probe = probe(d, answer, ask, arg);
	return told;
}

/* --- judging --- */

struct verdict {
	const struct devstate *d;
	devstate_tell *tell;
	void *arg;
};

static void tell(const struct verdict *v, enum health health, const char *what,
		 const char *remedy)
{
	if (v->tell)
		v->tell(v->arg, health, what, remedy);
}

/* VmSwap counts pages in all swap devices, not only in this one. */
bool devstate_users(const struct devstate *d, struct error *what)
{
	struct swapusers users;

	if (d->swap.used_bytes == 0)
		return false;
	swapusers_read(&users);
	if (users.n == 0)
		error_set(what,
			  "no process has pages in swap: they are of shared "
			  "memory or tmpfs");
	else
		error_set(what, "%s: %.190s",
			  d->shared_swap ? "pages in this or other swap"
					 : "pages there",
			  swapusers_format(&users).text);
	return true;
}

/* Swap is on, and no plugin serves it. */
static enum devtrouble judge_dead(const struct verdict *v, bool gone)
{
	const struct devstate *d = v->d;
	struct error what, remedy;

	if (gone)
		error_set(&what, "nbdkit (process %d) is gone",
			  (int)d->state->pid);
	else
		error_set(&what,
			  "%s has no connection to nbdkit (process %d) any "
			  "more, as after nbd-client -d",
			  d->state->device, (int)d->state->pid);
	error_set(&remedy,
		  "%.120s, and swap on %s is on with %" PRIu64
		  " MiB, which are lost: a program that needs one of these "
		  "pages gets SIGBUS",
		  what.text, d->swap_device, d->swap.used_bytes / MIB);
	what = remedy;
	error_set(&remedy,
		  "%sdetach %s, which cannot bring anything back; then start "
		  "these programs anew",
		  strcmp(d->swap_device, d->state->device)
			  ? "swapoff what stands on it, then rswapctl "
			  : "rswapctl ",
		  d->state->name);
	tell(v, HEALTH_BAD, what.text, remedy.text);
	if (v->tell && devstate_users(d, &what))
		tell(v, HEALTH_GOOD, what.text, NULL);
	return DEVTROUBLE_DEAD;
}

static enum devtrouble judge_gone(const struct verdict *v)
{
	const struct devstate *d = v->d;
	struct error what, remedy;

	if (d->swap.active)
		return judge_dead(v, true);
	if (d->state->pid)
		error_set(&what, "nbdkit (process %d) is gone",
			  (int)d->state->pid);
	else
		error_set(&what, "nbdkit was not started: attach is at work, "
				 "or was killed");
	if (d->holders[0])
		error_set(&remedy,
			  "take away what stands on %s (%s), then rswapctl "
			  "detach %s",
			  d->state->device, d->holders, d->state->name);
	else
		error_set(&remedy, "rswapctl detach %s", d->state->name);
	tell(v, HEALTH_BAD, what.text, remedy.text);
	return DEVTROUBLE_SOME;
}

/* nbdkit runs and does not answer. */
static enum devtrouble judge_silent(const struct verdict *v)
{
	const struct devstate *d = v->d;
	struct error what;

	if (!d->swap.active)
		return DEVTROUBLE_SOME;
	error_set(&what,
		  "nbdkit (process %d) runs and does not answer; swap on %s is "
		  "on with %" PRIu64 " MiB, %" PRIu64 " reads and %" PRIu64
		  " writes are waiting",
		  (int)d->state->pid, d->swap_device, d->swap.used_bytes / MIB,
		  d->reads_in_flight, d->writes_in_flight);
	tell(v, HEALTH_BAD, what.text, "see whether it is stopped, or stuck");
	return DEVTROUBLE_SOME;
}

static enum devtrouble judge_unused(const struct verdict *v, bool connected)
{
	const struct devstate *d = v->d;
	struct error what, remedy;

	if (connected && (d->swap.active || d->holders[0] || !d->swap_known))
		return DEVTROUBLE_NONE;
	error_set(&remedy, "rswapctl detach %s, and attach again",
		  d->state->name);
	if (connected)
		error_set(&what, "nothing swaps to %s", d->state->device);
	else
		error_set(&what,
			  "%s is not connected to nbdkit (process %d), and "
			  "nothing swaps to it",
			  d->state->device, (int)d->state->pid);
	tell(v, HEALTH_DEGRADED, what.text, remedy.text);
	return connected ? DEVTROUBLE_SOME : DEVTROUBLE_LOOSE;
}

/* The kernel goes on with the connections that are left, and never makes a new
 * one. */
static void judge_connections(const struct verdict *v,
			      const struct devanswer *answer)
{
	const struct devstate *d = v->d;
	struct error what, remedy;

	if (!answer->tells || answer->connections >= d->queues)
		return;
	error_set(&what,
		  "%" PRIu64 " of %u connections of %s to nbdkit are left",
		  answer->connections, d->queues, d->state->device);
	error_set(&remedy,
		  "rswapctl detach %s, and attach again; the kernel's log "
		  "tells why one was lost",
		  d->state->name);
	tell(v, HEALTH_DEGRADED, what.text, remedy.text);
}

enum devtrouble devstate_judge(const struct devstate *d,
			       const struct devanswer *answer,
			       devstate_tell *to, void *arg)
{
	const struct verdict v = { d, to, arg };
	bool connected = d->connected;

	/* a plugin that answers runs, whatever the state file says */
	if (!d->nbdkit_runs && !answer->answers)
		return judge_gone(&v);
	if (!answer->answers)
		return judge_silent(&v);
	if ((answer->tells && answer->connections == 0) ||
	    answer->probe == DEVPROBE_FAILS)
		connected = false;
	if (!connected && d->swap.active)
		return judge_dead(&v, false);
	if (connected && d->swap.active)
		judge_connections(&v, answer);
	return judge_unused(&v, connected);
}
