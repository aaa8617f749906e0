#include "devstate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blockdev.h"
#include "answer.h"
#include "swapusers.h"

#define MIB (1024 * 1024)

/* --- looking --- */

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

/* What another one has under the name of the device that is gone does not
 * count. */
void devstate_read(const struct state *state, struct devstate *d)
{
	const struct driver *driver = state->front->driver;
	bool foreign = statedir_is_foreign(state);
	int number = statedir_number(state);
	uint64_t used_bytes =
		meminfo_bytes("SwapTotal") - meminfo_bytes("SwapFree");

	*d = (struct devstate){ .state = state };
	d->front_runs = statedir_running(state);
	d->swap_known = swapinfo_read(state->device, &d->swap);
	if (foreign)
		d->swap = (struct swap_usage){ 0 };
	snprintf(d->swap_device, sizeof d->swap_device, "%s",
		 d->swap.active ? d->swap.device : state->device);
	if (number >= 0 && !foreign) {
		const char *name = state->device + strlen("/dev/");

		d->connected = driver->is_connected(number) &&
			       blockdev_size_bytes(name) > 0;
		d->connections = driver->connections(number);
		blockdev_in_flight(name, &d->reads_in_flight,
				   &d->writes_in_flight);
		read_holders(d);
	}
	d->shared_swap = used_bytes > d->swap.used_bytes;
}

/* Requests of the kernel that the plugin has seen. */
static uint64_t seen(struct json_object *answer)
{
	return answer_number(answer, "reads") +
	       answer_number(answer, "read_errors");
}

/* If the plugin itself failed the read, the failure says nothing about the
 * device: then the plugin's counters have changed.  ANSWER is invalid after
 * ASK. */
static enum devprobe probe(const struct devstate *d, struct json_object *answer,
			   devstate_asker *ask, void *arg)
{
	uint64_t before = seen(answer);
	enum devprobe result = devprobe_read(d->state->device);

	if (result != DEVPROBE_FAILS)
		return result;
	answer = ask(arg);
	return answer && seen(answer) == before ? DEVPROBE_FAILS
						: DEVPROBE_UNKNOWN;
}

struct devanswer devstate_ask(const struct devstate *d,
			      struct json_object *answer, devstate_asker *ask,
			      void *arg)
{
	struct devanswer told = { .answers = answer != NULL,
				  .probe = DEVPROBE_UNKNOWN };

	if (!answer)
		return told;
	told.tells = answer_at(answer, "connections") != NULL;
	told.connections = answer_number(answer, "connections");
	if (d->connected && d->swap.active && told.connections > 0)
		told.probe = probe(d, answer, ask, arg);
	return told;
}

/* --- judging --- */

struct verdict {
	const struct devstate *d;
	finding_tell *tell;
	void *arg;
};

static void tell(const struct verdict *v, enum finding_code code,
		 const char *what, const char *action)
{
	if (v->tell)
		v->tell(v->arg, &(struct finding){ code, what, action, false });
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
		error_set(&what, "%s (process %d) is gone",
			  d->state->front->program, (int)d->state->pid);
	else
		error_set(&what,
			  "%s has no connection to %s (process %d) any more, "
			  "%s",
			  d->state->device, d->state->front->program,
			  (int)d->state->pid, d->state->front->driver->cut);
	error_set(&remedy,
		  "%.120s, and swap on %s is on with %" PRIu64
		  " MiB, which are lost: a program that needs one of these "
		  "pages gets SIGBUS",
		  what.text, d->swap_device, d->swap.used_bytes / MIB);
	what = remedy;
	if (!d->connected && !d->state->front->driver->swap_ends)
		error_set(&remedy,
			  "restart the machine: until then swap on %s stays "
			  "on, because the kernel has ended the device and "
			  "swapoff can't open it",
			  d->swap_device);
	else
		error_set(&remedy,
			  "%sdetach %s, which cannot bring anything back; then "
			  "start these programs anew",
			  strcmp(d->swap_device, d->state->device)
				  ? "swapoff what stands on it, then rswapctl "
				  : "rswapctl ",
			  d->state->name);
	tell(v, FINDING_DEAD_SWAP, what.text, remedy.text);
	if (v->tell && devstate_users(d, &what))
		v->tell(v->arg, &(struct finding){ FINDING_DEAD_SWAP, what.text,
						   NULL, true });
	return DEVTROUBLE_DEAD;
}

static enum devtrouble judge_gone(const struct verdict *v)
{
	const struct devstate *d = v->d;
	struct error what, remedy;

	if (d->swap.active)
		return judge_dead(v, true);
	if (d->state->pid)
		error_set(&what, "%s (process %d) is gone",
			  d->state->front->program, (int)d->state->pid);
	else
		error_set(&what, "no front end was started: attach is at work, "
				 "or was killed");
	if (d->holders[0])
		error_set(&remedy,
			  "take away what stands on %s (%s), then rswapctl "
			  "detach %s",
			  d->state->device, d->holders, d->state->name);
	else
		error_set(&remedy, "rswapctl detach %s", d->state->name);
	tell(v, FINDING_FRONT_GONE, what.text, remedy.text);
	return DEVTROUBLE_SOME;
}

/* The front end runs and does not answer. */
static enum devtrouble judge_silent(const struct verdict *v)
{
	const struct devstate *d = v->d;
	struct error what;

	if (!d->swap.active)
		return DEVTROUBLE_SOME;
	error_set(&what,
		  "%s (process %d) runs and does not answer; swap on %s is "
		  "on with %" PRIu64 " MiB, %" PRIu64 " reads and %" PRIu64
		  " writes are waiting",
		  d->state->front->program, (int)d->state->pid, d->swap_device,
		  d->swap.used_bytes / MIB, d->reads_in_flight,
		  d->writes_in_flight);
	tell(v, FINDING_SWAP_WAITS, what.text, NULL);
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
			  "%s is not connected to %s (process %d), and "
			  "nothing swaps to it",
			  d->state->device, d->state->front->program,
			  (int)d->state->pid);
	tell(v, connected ? FINDING_NOT_USED : FINDING_NOT_CONNECTED, what.text,
	     remedy.text);
	return connected ? DEVTROUBLE_SOME : DEVTROUBLE_LOOSE;
}

/* The kernel goes on with the connections that are left, and never makes a new
 * one. */
static void judge_connections(const struct verdict *v,
			      const struct devanswer *answer)
{
	const struct devstate *d = v->d;
	struct error what, remedy;

	if (!answer->tells || answer->connections >= d->connections)
		return;
	error_set(&what, "%" PRIu64 " of %u connections of %s to %s are left",
		  answer->connections, d->connections, d->state->device,
		  d->state->front->program);
	error_set(&remedy,
		  "rswapctl detach %s, and attach again; the kernel's log "
		  "tells why one was lost",
		  d->state->name);
	tell(v, FINDING_CONNECTIONS_LOST, what.text, remedy.text);
}

enum devtrouble devstate_judge(const struct devstate *d,
			       const struct devanswer *answer, finding_tell *to,
			       void *arg)
{
	const struct verdict v = { d, to, arg };
	bool connected = d->connected;

	/* a plugin that answers runs, whatever the state file says */
	if (!d->front_runs && !answer->answers)
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
