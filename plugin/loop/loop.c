#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine.h"

/* A discard is done in pieces of so many bytes, with other requests in between:
 * the page map is changed page by page. */
#define DISCARD_BYTES (UINT64_C(64) << 20)

/* How many reads may overtake the writes that wait, until a write is next. */
#define READS_AHEAD 8

/* The longest sleep.  It only bounds the harm of a lost wake-up. */
#define SLEEP_NS NS_PER_S

/* --- requests --- */

static void put(struct loop_queue *queue, struct loop_request *request)
{
	request->next = NULL;
	*queue->last = request;
	queue->last = &request->next;
}

static struct loop_request *take(struct loop_queue *queue)
{
	struct loop_request *request = queue->first;

	queue->first = request->next;
	if (!queue->first)
		queue->last = &queue->first;
	return request;
}

void loop_submit(struct loop *loop, struct loop_request *request)
{
	request->loop = loop;
	request->deadline_ns = engine_deadline_ns(loop->config.engine);
	put(request->op == LOOP_READ ? &loop->reads : &loop->writes, request);
	loop->soon = true;
	loop->n_requests++;
}

static void discard(struct engine *engine, uint64_t count, uint64_t offset)
{
	while (count > 0) {
		uint64_t n = count < DISCARD_BYTES ? count : DISCARD_BYTES;

		engine_discard(engine, n, offset);
		count -= n;
		offset += n;
		if (count > 0)
			coroutine_suspend(&(struct suspension){ 0 });
	}
}

/* In a coroutine. */
static void run(void *arg)
{
	struct loop_request *r = arg;
	struct loop *loop = r->loop;
	struct engine *engine = loop->config.engine;

	switch (r->op) {
	case LOOP_READ:
		r->rc = engine_read_until(engine, r->buf, r->count, r->offset,
					  r->deadline_ns);
		break;
	case LOOP_WRITE:
		r->rc = engine_write_until(engine, r->buf, r->count, r->offset,
					   r->deadline_ns);
		break;
	case LOOP_DISCARD:
		discard(engine, r->count, r->offset);
		r->rc = 0;
		break;
	}
	loop->n_writes -= r->op != LOOP_READ;
	loop->n_requests--;
	r->done(r);
}

static void start(struct loop *loop, struct loop_queue *queue)
{
	struct coroutine *c =
		coroutine_start(&loop->coroutines, run, take(queue));

	if (c)
		loop->suspended[loop->n_suspended++] = c;
}

/* No more writes than there are lanes for writes: a write that waits for a lane
 * would keep its coroutine from a read. */
static bool may_start_write(const struct loop *loop)
{
	return loop->writes.first && loop->n_writes < loop->max_writes;
}

/* Reads go first, because programs wait for them.  But a write that
 * READS_AHEAD reads have overtaken is next: the kernel may need it to free the
 * memory that it reads into. */
static void start_all(struct loop *loop)
{
	loop->soon = false;
	while (loop->coroutines.free) {
		bool write = may_start_write(loop);

		if (loop->reads.first &&
		    !(write && loop->overtaking >= READS_AHEAD)) {
			loop->overtaking += write;
			start(loop, &loop->reads);
		} else if (write) {
			loop->overtaking = 0;
			loop->n_writes++;
			start(loop, &loop->writes);
		} else {
			break;
		}
	}
}

/* --- waits --- */

static bool is_over(const struct suspension *wait, uint64_t now_ns)
{
	return (wait->over && wait->over(wait->arg)) ||
	       wait->until_ns <= now_ns;
}

/* Resumes the requests whose wait is over. */
static void resume_all(struct loop *loop)
{
	uint64_t now_ns = clock_now_ns();
	uint32_t n = loop->n_suspended, kept = 0;

	/* None is suspended meanwhile but those that are resumed here. */
	for (uint32_t i = 0; i < n; i++) {
		struct coroutine *c = loop->suspended[i];

		if (is_over(coroutine_wait(c), now_ns))
			c = coroutine_resume(c);
		if (c)
			loop->suspended[kept++] = c;
	}
	loop->n_suspended = kept;
}

static void watch_lane(struct loop *loop, const struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			const struct xfer *x = &set->xfers[i];

			if (xfer_in_progress(x))
				x->link->ops->watch(x, &loop->watch);
		}
	}
}

/* Whether an event may be lost of something that is waited on. */
static bool any_may_lose_events(const struct loop *loop)
{
	for (size_t i = 0; i < loop->watch.n; i++) {
		if (loop->watch.sources[i].ops->rest)
			return true;
	}
	return false;
}

/* Makes the list of what to wait on, and notes until when. */
static void watch_all(struct loop *loop)
{
	uint64_t wake_ns = UINT64_MAX, recheck_ns = 0;

	loop->watch.n = 0;
	loop->watch.overflow = false;
	for (uint32_t i = 0; i < loop->n_suspended; i++) {
		const struct suspension *wait =
			coroutine_wait(loop->suspended[i]);

		if (wait->until_ns < wake_ns)
			wake_ns = wait->until_ns;
		if (wait->lane)
			watch_lane(loop, wait->lane);
		else if (wait->over)
			recheck_ns = LOOP_RECHECK_NS;
	}
	if (loop->watch.overflow)
		recheck_ns = LOOP_RECHECK_NS;
	if (!recheck_ns && any_may_lose_events(loop))
		recheck_ns = WATCH_LOOK_NS;
	if (recheck_ns && clock_now_ns() + recheck_ns < wake_ns)
		wake_ns = clock_now_ns() + recheck_ns;
	loop->wake_ns = wake_ns;
}

static void flush_all(struct loop *loop)
{
	for (size_t i = 0; i < loop->watch.n; i++)
		loop->watch.sources[i].ops->flush(&loop->watch.sources[i]);
}

/* --- sleeping --- */

/* Whether a suspended request could go on. */
static bool any_over(const struct loop *loop)
{
	uint64_t now_ns = clock_now_ns();

	for (uint32_t i = 0; i < loop->n_suspended; i++) {
		if (is_over(coroutine_wait(loop->suspended[i]), now_ns))
			return true;
	}
	return false;
}

/* Fills the list of poll(2): the waker, the clients, the sources of the watch.
 */
static nfds_t fill_polls(struct loop *loop)
{
	nfds_t n = 0;

	loop->polls[n++] =
		(struct pollfd){ .fd = loop->waker.fd, .events = POLLIN };
	for (uint32_t i = 0; i < loop->n_sources; i++)
		loop->polls[n++] =
			(struct pollfd){ .fd = loop->sources[i]->fd,
					 .events = loop->sources[i]->events };
	for (size_t i = 0; i < loop->watch.n; i++)
		loop->polls[n++] = loop->watch.sources[i].poll;
	return n;
}

static int poll_for(struct loop *loop, nfds_t n, uint64_t ns)
{
	struct timespec timeout = clock_timespec(ns);
	int rc = ppoll(loop->polls, n, &timeout, NULL);

	if (rc <= 0) {
		for (nfds_t i = 0; i < n; i++)
			loop->polls[i].revents = 0;
	}
	return rc;
}

/* Takes what came to sources that tell of it only while they rest. */
static void look_at_quiet(struct loop *loop)
{
	for (size_t i = 0; i < loop->watch.n; i++) {
		const struct watch_source *s = &loop->watch.sources[i];

		if (s->ops->rest)
			s->ops->look(s);
	}
}

/* Polls without sleeping for LIMIT_NS.  True where something is ready. */
static bool spin(struct loop *loop, nfds_t n, uint64_t limit_ns)
{
	uint64_t until_ns = clock_now_ns() + limit_ns;
	bool ready;

	do {
		look_at_quiet(loop);
		ready = poll_for(loop, n, 0) > 0 || any_over(loop);
	} while (!ready && clock_now_ns() < until_ns);
	return ready;
}

static uint64_t sleep_ns(const struct loop *loop)
{
	uint64_t ns = loop->soon ? 0 : clock_left_ns(loop->wake_ns);

	return ns < SLEEP_NS ? ns : SLEEP_NS;
}

/* Sleeps until something is ready.  A thread that ends a transfer meanwhile
 * wakes this thread, if the transfer was not over when it looked last. */
static void sleep_for(struct loop *loop, nfds_t n)
{
	waker_before_sleep(&loop->waker);
	for (size_t i = 0; i < loop->watch.n; i++) {
		const struct watch_source *s = &loop->watch.sources[i];

		if (s->ops->rest)
			s->ops->rest(s);
	}
	poll_for(loop, n,
		 any_over(loop) || atomic_load(&loop->ending) ? 0
							      : sleep_ns(loop));
	waker_after_sleep(&loop->waker, loop->polls[0].revents);
}

/* Polls where that pays, and sleeps otherwise. */
static void await(struct loop *loop)
{
	enum patience_wait wait =
		loop->n_requests ? WAIT_FOR_SERVER : WAIT_FOR_CLIENT;
	nfds_t n = fill_polls(loop);
	uint64_t begin_ns, limit_ns, polled_ns = 0;
	bool found = false;

	if (!loop->config.spin_ns || loop->soon) {
		sleep_for(loop, n);
		return;
	}
	begin_ns = clock_now_ns();
	limit_ns = patience_begin(&loop->patience, wait, begin_ns);
	if (limit_ns) {
		found = spin(loop, n, limit_ns);
		polled_ns = clock_now_ns() - begin_ns;
	}
	if (found)
		waker_drain(&loop->waker, loop->polls[0].revents);
	else
		sleep_for(loop, n);
	patience_end(&loop->patience, wait, clock_now_ns() - begin_ns,
		     polled_ns, found);
}

/* --- turns --- */

/* Receives from those connections to memory servers that are ready. */
static void receive_all(struct loop *loop, const struct pollfd *polls)
{
	for (size_t i = 0; i < loop->watch.n; i++) {
		struct watch_source *s = &loop->watch.sources[i];

		s->poll.revents = polls[i].revents;
		/* One that rests may have got something without an event. */
		if (s->poll.revents || s->ops->rest)
			s->ops->look(s);
	}
}

static void take_all(struct loop *loop, uint32_t n, const struct pollfd *polls)
{
	/* A source may add sources, or remove itself: the places of those that
	 * follow stay for this turn. */
	for (uint32_t i = 0; i < n; i++) {
		if (polls[i].revents && loop->sources[i])
			loop->sources[i]->ready(loop->sources[i],
						polls[i].revents);
	}
}

static void finish_all(struct loop *loop)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < loop->n_sources; i++) {
		if (loop->sources[i] && loop->sources[i]->finish)
			loop->sources[i]->finish(loop->sources[i]);
	}
	for (uint32_t i = 0; i < loop->n_sources; i++) {
		if (loop->sources[i])
			loop->sources[kept++] = loop->sources[i];
	}
	loop->n_sources = kept;
}

static void turn(struct loop *loop)
{
	uint32_t n = loop->n_sources;

	await(loop);
	/* Receives first: the sources of the watch last only as long as the
	 * requests that wait for them. */
	receive_all(loop, loop->polls + 1 + n);
	take_all(loop, n, loop->polls + 1);
	if (loop->config.turn)
		loop->config.turn(loop->n_requests);
	resume_all(loop);
	start_all(loop);
	watch_all(loop);
	flush_all(loop);
	finish_all(loop);
	if (loop->config.turn && loop->n_requests == 0)
		loop->config.turn(0);
}

void loop_run(struct loop *loop)
{
	while (!atomic_load(&loop->ending))
		turn(loop);
}

void loop_soon(struct loop *loop)
{
	loop->soon = true;
}

void loop_within(struct loop *loop, uint64_t ns)
{
	uint64_t at_ns = clock_now_ns() + ns;

	if (at_ns < loop->wake_ns)
		loop->wake_ns = at_ns;
}

void loop_end(struct loop *loop)
{
	atomic_store(&loop->ending, true);
	waker_wake(&loop->waker);
}

/* --- sources --- */

bool loop_add(struct loop *loop, struct loop_source *source)
{
	if (loop->n_sources == LOOP_SOURCES_MAX)
		return false;
	loop->sources[loop->n_sources++] = source;
	return true;
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	for (uint32_t i = 0; i < loop->n_sources; i++) {
		if (loop->sources[i] == source)
			loop->sources[i] = NULL;
	}
}

/* --- life --- */

/* What N of ALL lanes may have of COUNT, and at least 1. */
static uint32_t part_of(uint32_t count, uint32_t n, uint32_t all)
{
	uint32_t part = (uint32_t)((uint64_t)count * n / all);

	return part > 0 ? part : 1;
}

int loop_create(struct loop *loop, const struct loop_config *config,
		struct error *why)
{
	const struct lane_pool *lanes = &config->engine->lanes;
	uint32_t all = lanes->config.lanes;
	uint32_t n = config->lanes ? config->lanes : all;
	int rc;

	memset(loop, 0, sizeof *loop);
	loop->config = *config;
	loop->reads.last = &loop->reads.first;
	loop->writes.last = &loop->writes.first;
	loop->max_writes = part_of(lanes->max_writers, n, all);
	loop->wake_ns = UINT64_MAX;
	rc = waker_create(&loop->waker);
	if (rc) {
		error_set(why, "eventfd: %s", strerror(-rc));
		return rc;
	}
	rc = coroutine_pool_create(&loop->coroutines, n, &loop->waker, why);
	if (rc) {
		waker_destroy(&loop->waker);
		return rc;
	}
	patience_create(&loop->patience, config->spin_ns);
	loop->suspended = calloc(n, sizeof(struct coroutine *));
	if (!loop->suspended) {
		error_set(why, "out of memory");
		loop_destroy(loop);
		return -ENOMEM;
	}
	return 0;
}

void loop_destroy(struct loop *loop)
{
	free(loop->suspended);
	patience_destroy(&loop->patience);
	coroutine_pool_destroy(&loop->coroutines);
	waker_destroy(&loop->waker);
}

uint64_t loop_memory_bytes(const struct loop *loop)
{
	return sizeof *loop + coroutine_pool_bytes(&loop->coroutines);
}
