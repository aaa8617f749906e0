#include "data_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "container.h"

static void kick_cb(struct ev_loop *ev, ev_async *watcher, int events)
{
	struct data_loop *loop = container_of(watcher, struct data_loop, kick);

	(void)ev;
	(void)events;
	loop->kicked(loop);
}

static void stop_deliver(struct mail *mail)
{
	ev_break(container_of(mail, struct data_loop, stop)->ev, EVBREAK_ALL);
}

static void *data_thread(void *arg)
{
	struct data_loop *loop = arg;

	ev_run(loop->ev, 0);
	return NULL;
}

static void loop_close(struct data_loop *loop)
{
	mailbox_close(&loop->box);
	ev_async_stop(loop->ev, &loop->kick);
	ev_loop_destroy(loop->ev);
}

static int loop_start(struct data_loop *loop, unsigned number,
		      size_t (*run)(struct share_member *member, size_t most),
		      struct error *why)
{
	char name[16];
	int err;

	loop->stop.deliver = stop_deliver;
	TAILQ_INIT(&loop->members);
	loop->ev = ev_loop_new(EVFLAG_AUTO);
	if (!loop->ev) {
		error_set(why, "cannot make an event loop");
		return -ENOMEM;
	}
	shares_init(&loop->shares, loop->ev, run);
	mailbox_open(&loop->box, loop->ev);
	ev_async_init(&loop->kick, kick_cb);
	ev_async_start(loop->ev, &loop->kick);
	err = pthread_create(&loop->thread, NULL, data_thread, loop);
	if (err) {
		error_set(why, "cannot start a thread: %s", strerror(err));
		loop_close(loop);
		return -err;
	}
	snprintf(name, sizeof name, "data-%u", number % 1000);
	pthread_setname_np(loop->thread, name);
	return 0;
}

int data_loops_start(struct data_loops *data, unsigned count,
		     struct mailbox *main_box,
		     void (*kicked)(struct data_loop *loop),
		     size_t (*run)(struct share_member *member, size_t most),
		     struct error *why)
{
	data->loops = aligned_alloc(_Alignof(struct data_loop),
				    count * sizeof *data->loops);
	if (!data->loops) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	memset(data->loops, 0, count * sizeof *data->loops);
	for (data->count = 0; data->count < count; data->count++) {
		struct data_loop *loop = &data->loops[data->count];
		int err;

		loop->main_box = main_box;
		loop->kicked = kicked;
		err = loop_start(loop, data->count, run, why);
		if (err) {
			data_loops_stop(data);
			return err;
		}
	}
	return 0;
}

void data_loops_stop(struct data_loops *data)
{
	for (unsigned i = 0; i < data->count; i++)
		mailbox_post(&data->loops[i].box, &data->loops[i].stop);
	for (unsigned i = 0; i < data->count; i++) {
		pthread_join(data->loops[i].thread, NULL);
		loop_close(&data->loops[i]);
	}
	free(data->loops);
	data->loops = NULL;
	data->count = 0;
}

struct data_loop *data_loop_choose(struct data_loops *data)
{
	struct data_loop *best = &data->loops[0];

	for (unsigned i = 1; i < data->count; i++) {
		if (data->loops[i].member_count < best->member_count)
			best = &data->loops[i];
	}
	return best;
}

static uint64_t counter_read(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

struct data_figures data_loops_figures(const struct data_loops *data)
{
	struct data_figures sum = { 0 };

	for (unsigned i = 0; i < data->count; i++) {
		const struct data_counters *c = &data->loops[i].counters;

		sum.reads += counter_read(&c->reads);
		sum.writes += counter_read(&c->writes);
		sum.read_bytes += counter_read(&c->read_bytes);
		sum.write_bytes += counter_read(&c->write_bytes);
		sum.errors += counter_read(&c->errors);
	}
	return sum;
}
