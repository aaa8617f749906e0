#include "watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "loops/container.h"
#include "notify.h"
#include "output/output.h"
#include "server.h"
#include "times.h"

/* Answers in the time of the watchdog. */
#define ANSWERS 4

/* Mail to a data thread, which the thread takes when its loop turns. */
struct pulse {
	struct mail mail;
	atomic_bool sent; /* and not taken */
};

static struct pulse *pulses; /* one for each data thread */
static ev_timer timer;
static struct notify notify = { .fd = -1 };

/* --- answers --- */

static void take_pulse(struct mail *mail)
{
	atomic_store(&container_of(mail, struct pulse, mail)->sent, false);
}

static bool any_sent(const struct data_loops *data)
{
	for (unsigned i = 0; i < data->count; i++) {
		if (atomic_load(&pulses[i].sent))
			return true;
	}
	return false;
}

/* Not through the log, whose thread may wait for the reader of the log. */
static void answer_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct data_loops *data = watcher->data;
	int err;

	(void)loop;
	(void)events;
	if (any_sent(data))
		return;
	err = notify_answer(&notify);
	if (err && err != -EAGAIN)
		log_error("watchdog: %s", strerror(-err));
	for (unsigned i = 0; i < data->count; i++) {
		pulses[i].mail.deliver = take_pulse;
		atomic_store(&pulses[i].sent, true);
		mailbox_post(&data->loops[i].box, &pulses[i].mail);
	}
}

/* --- life --- */

static void ask_for_longer(uint64_t ns, unsigned grace_s)
{
	uint64_t least_ns = times_least_timeout_s(grace_s) * NS_PER_S;

	if (ns < least_ns)
		output_manager("WATCHDOG_USEC=%" PRIu64,
			       (uint64_t)(least_ns / NS_PER_US));
}

void watchdog_start(struct server *server)
{
	struct data_loops *data = &server->links.data;
	uint64_t ns = notify_watchdog_ns();
	int err;

	if (!ns)
		return;
	ask_for_longer(ns, server->config->grace_s);
	pulses = calloc(data->count ? data->count : 1, sizeof *pulses);
	err = pulses ? notify_open(&notify) : -ENOMEM;
	if (err) {
		log_error("no answers to the watchdog: %s", strerror(-err));
		return;
	}
	timer.data = data;
	ev_init(&timer, answer_cb);
	ev_timer_set(&timer, 0., (double)ns / NS_PER_S / ANSWERS);
	ev_timer_start(server->loop, &timer);
}

/* The pulses stay: a data thread may still have mail. */
void watchdog_stop(struct server *server)
{
	if (notify.fd < 0)
		return;
	ev_timer_stop(server->loop, &timer);
	notify_close(&notify);
}
