/* Random requests of many threads, which may meet on the same pages, with a
 * model of what each read may return (model.h).
 *
 *   torture --socket=PATH|--uri=URI|--device=PATH [OPTION...]
 *
 *   --size=BYTES       of the device's front to use (all of it)
 *   --threads=N        one request at a time each (8)
 *   --seconds=N        how long (5)
 *   --until=FILE       ends when there is that file
 *   --seed=N           of the random numbers; printed
 *   --max-pages=N      the largest request (64)
 *   --overlap=no       a request has its pages to itself, but for other reads
 *   --trims=no         no trims and zeroes
 *   --expect=never-eio|eio-allowed
 *   --max-read-wait=S  a request that takes longer ends the run (300)
 *   --interval=S       every so often a line of read latencies
 *   --report           one line of key=value at the end
 *
 * --device is a block device, which needs root.  Each thread has a connection
 * of its own where the server allows it.  At the end every page is read once
 * more.
 *
 * Exit status 0; 1 where a read returned what it may not, or failed and may
 * not: each is told in a line; 2 where it could not run.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "torture.h"
#include "latency.h"
#include "model.h"
#include "target.h"
#include "value.h"

#define NS	       1000000000ull
#define VIOLATIONS_MAX 20

enum op { READ, WRITE, TRIM, ZERO, FLUSH, OPS };

static const char *const op_names[] = { "read", "write", "trim", "zero",
					"flush" };

struct request {
	enum op op;
	uint64_t page, n, began;
	bool fua;
};

struct worker {
	unsigned slot;
	struct target *target;
	uint64_t random;
	char *buf;
	uint64_t *stamps;
	_Atomic uint64_t since_ns; /* of the request in flight; 0: none */
	pthread_t thread;
};

static struct options options;
static struct model *model;
static uint64_t n_pages, start_ns, end_ns;
static _Atomic int16_t *users; /* of each page: readers, or -1 */
static _Atomic uint64_t done[OPS], failed[OPS], pages_checked, violations;
static struct latency reads, interval_reads;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static double seconds(void)
{
	return (double)(now_ns() - start_ns) / NS;
}

static uint64_t draw(struct worker *w)
{
	return value_mix(w->random += 0x9e3779b97f4a7c15u);
}

static void *allocate(uint64_t n, uint64_t bytes)
{
	void *p = calloc(n, bytes);

	if (!p)
		abort();
	return p;
}

/* As O_DIRECT wants it. */
static void *allocate_pages(uint64_t n)
{
	void *p = aligned_alloc(PAGE, n * PAGE);

	if (!p)
		abort();
	return p;
}

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "torture: seed %" PRIu64 ": %s: %s\n", options.seed,
		what, why);
	_exit(2);
}

/* --- violations --- */

static bool tell_violation(void)
{
	uint64_t n = atomic_fetch_add(&violations, 1);

	if (n == VIOLATIONS_MAX)
		fprintf(stderr, "torture: more violations are not told\n");
	return n < VIOLATIONS_MAX;
}

/* KIND is what scripts look for: zeros, stale, foreign, torn, garbage. */
static void wrong_page(uint64_t page, const struct found *found, bool at_end,
		       const char *may)
{
	static const char *const kinds[] = { "stale", "foreign", "torn",
					     "garbage" };
	const char *kind = kinds[found->kind];
	char text[200];

	if (found->kind == FOUND_STAMP && !found->stamp)
		kind = "zeros";
	if (tell_violation())
		fprintf(stderr,
			"torture: VIOLATION %s: page %" PRIu64
			" at %.3f s%s: came %s; allowed: %s (seed %" PRIu64
			")\n",
			kind, page, seconds(), at_end ? " (at the end)" : "",
			value_describe(found, text, sizeof text),
			*may ? may : "nothing", options.seed);
}

static void check_page(const char *buf, uint64_t page, uint64_t began,
		       bool at_end)
{
	struct found found = value_find(buf, page, options.seed);
	/* no write has this stamp */
	uint64_t stamp =
		found.kind == FOUND_STAMP ? found.stamp : UINT64_MAX - 1;
	char may[400] = "";

	if (!model_read_end(model, page, began, stamp, may, sizeof may))
		wrong_page(page, &found, at_end, may);
	atomic_fetch_add(&pages_checked, 1);
}

static void request_failed(struct worker *w, const struct request *r, int rc)
{
	const struct target_ops *ops = w->target->ops;
	const char *why = ops->error();
	bool may = rc == -EIO || (rc == -ENOSPC && r->op == WRITE);

	if (ops->is_dead(w->target))
		die("the connection has ended", why);
	atomic_fetch_add(&failed[r->op], 1);
	if (may && options.eio_allowed)
		return;
	if (tell_violation())
		fprintf(stderr,
			"torture: VIOLATION error: %s of page %" PRIu64
			"+%" PRIu64 " at %.3f s: %s (seed %" PRIu64 ")\n",
			op_names[r->op], r->page, r->n, seconds(), why,
			options.seed);
}

/* --- who has which pages, where they aren't shared --- */

static bool claim_page(uint64_t page, bool write)
{
	int16_t now = atomic_load(&users[page]);

	do {
		if (now < 0 || (write && now))
			return false;
	} while (!atomic_compare_exchange_weak(
		&users[page], &now, write ? -1 : (int16_t)(now + 1)));
	return true;
}

static void release(uint64_t page, uint64_t n, bool write)
{
	for (uint64_t i = page; i < page + n && !options.overlap; i++)
		atomic_fetch_add(&users[i], write ? 1 : -1);
}

static bool claim(uint64_t page, uint64_t n, bool write)
{
	for (uint64_t i = 0; i < n && !options.overlap; i++) {
		if (!claim_page(page + i, write)) {
			release(page, i, write);
			return false;
		}
	}
	return true;
}

/* --- requests --- */

static void choose(struct worker *w, struct request *r)
{
	uint64_t dice = draw(w) % (options.trims ? 100 : 90);

	r->op = dice < 45   ? READ
		: dice < 88 ? WRITE
		: dice < 90 ? FLUSH
		: dice < 96 ? TRIM
			    : ZERO;
	r->n = 1;
	if (draw(w) % 3 == 0)
		r->n += draw(w) % options.max_pages;
	if (r->n > n_pages)
		r->n = n_pages;
	r->page = draw(w) % (n_pages - r->n + 1);
	/* Half of them on few pages, so that they meet. */
	if (draw(w) % 2)
		r->page %= (n_pages + 15) / 16;
	if (r->op == FLUSH)
		r->n = 0;
	r->fua = draw(w) % 8 == 0;
}

static void prepare_write(struct worker *w, const struct request *r)
{
	bool zeros = r->op != WRITE;

	for (uint64_t i = 0; i < r->n; i++) {
		w->stamps[i] = zeros || draw(w) % 16 == 0 ? 0 : r->began;
		if (r->op == WRITE)
			value_fill(w->buf + i * PAGE, r->page + i, w->stamps[i],
				   options.seed);
		model_write_begin(model, r->page + i, r->began, w->stamps[i]);
	}
}

/* 0 or a negative errno. */
static int send_request(struct worker *w, const struct request *r)
{
	const struct target_ops *ops = w->target->ops;
	uint64_t offset = r->page * PAGE, bytes = r->n * PAGE;

	switch (r->op) {
	case READ:
		memset(w->buf, 0xa5, bytes);
		return ops->read(w->target, w->buf, bytes, offset);
	case WRITE:
		return ops->write(w->target, w->buf, bytes, offset, r->fua);
	case TRIM:
		return ops->trim(w->target, bytes, offset, r->fua);
	case ZERO:
		return ops->zero(w->target, bytes, offset, r->fua);
	default:
		return ops->flush(w->target);
	}
}

static void one_request(struct worker *w)
{
	struct request r;
	uint64_t sent, took;
	int rc;

	choose(w, &r);
	if (!claim(r.page, r.n, r.op != READ))
		return;
	r.began = model_begin(model, w->slot);
	if (r.op != READ)
		prepare_write(w, &r);
	sent = now_ns();
	atomic_store(&w->since_ns, sent);
	rc = send_request(w, &r);
	atomic_store(&w->since_ns, 0);
	took = now_ns() - sent;
	if (r.op == READ) {
		latency_add(&reads, took);
		latency_add(&interval_reads, took);
	}
	if (rc)
		request_failed(w, &r, rc);
	for (uint64_t i = 0; i < r.n; i++) {
		if (r.op != READ)
			model_write_end(model, r.page + i, r.began, rc == 0);
		else if (!rc)
			check_page(w->buf + i * PAGE, r.page + i, r.began,
				   false);
	}
	atomic_fetch_add(&done[r.op], 1);
	model_finish(model, w->slot);
	release(r.page, r.n, r.op != READ);
}

static bool over(void)
{
	return now_ns() >= end_ns ||
	       (options.until && !access(options.until, F_OK));
}

static void *run(void *arg)
{
	while (!over())
		one_request(arg);
	return NULL;
}

/* --- watching --- */

static void check_hung(struct worker *workers)
{
	for (unsigned i = 0; i < options.threads; i++) {
		uint64_t since = atomic_load(&workers[i].since_ns);

		if (!since || now_ns() - since < options.max_read_wait * NS)
			continue;
		fprintf(stderr,
			"torture: VIOLATION hung: thread %u waits for its "
			"request since %.1f s (seed %" PRIu64 ")\n",
			i, (double)(now_ns() - since) / NS, options.seed);
		_exit(1);
	}
}

static void tell_interval(void)
{
	struct latency l;
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	latency_take(&interval_reads, &l);
	printf("interval s=%.1f at=%.3f reads=%" PRIu64 " p50_us=%" PRIu64
	       " p99_us=%" PRIu64 " max_us=%" PRIu64 " failed=%" PRIu64 "\n",
	       seconds(), (double)t.tv_sec + (double)t.tv_nsec / NS,
	       latency_count(&l), latency_us(&l, 50), latency_us(&l, 99),
	       l.max_ns / 1000,
	       atomic_load(&failed[READ]) + atomic_load(&failed[WRITE]));
	fflush(stdout);
}

struct watch {
	struct worker *workers;
	_Atomic bool end;
	pthread_t thread;
};

static void *watch(void *arg)
{
	struct watch *w = arg;
	uint64_t next = now_ns() + options.interval * NS;

	while (!atomic_load(&w->end)) {
		usleep(50000);
		check_hung(w->workers);
		if (options.interval && now_ns() >= next) {
			tell_interval();
			next += options.interval * NS;
		}
	}
	return NULL;
}

/* --- beginning and end --- */

static struct target *open_one(void)
{
	struct target *target = allocate(1, sizeof *target);
	const char *why = NULL;
	bool ok = options.device
			  ? target_open_block(target, options.device, &why)
			  : target_open_nbd(target, options.socket, options.uri,
					    &why);

	if (!ok)
		die("connecting", why);
	return target;
}

/* Where there can be no more than one, threads take turns on it. */
static void open_all(struct worker *workers)
{
	workers[0].target = open_one();
	for (unsigned i = 0; i < options.threads; i++) {
		struct worker *w = &workers[i];

		w->slot = i;
		if (i)
			w->target = workers[0].target->may_be_many
					    ? open_one()
					    : workers[0].target;
		w->random = value_mix(options.seed * 1000 + i);
		w->buf = allocate_pages(options.max_pages + 1);
		w->stamps = allocate(options.max_pages + 1, sizeof(uint64_t));
	}
}

static void start_pages(uint64_t bytes)
{
	if (options.size && options.size < bytes)
		bytes = options.size;
	n_pages = bytes / PAGE;
	if (!n_pages)
		die("no pages", "the device is too small");
	model = model_create(n_pages, options.threads);
	if (!model)
		abort();
	users = allocate(n_pages, sizeof *users);
}

/* Pages R, with nothing else going on.  0 or a negative errno. */
static int read_quietly(struct worker *w, struct request *r)
{
	int rc;

	r->began = model_begin(model, w->slot);
	atomic_store(&w->since_ns, now_ns());
	rc = send_request(w, r);
	atomic_store(&w->since_ns, 0);
	for (uint64_t i = 0; i < r->n && !rc; i++)
		check_page(w->buf + i * PAGE, r->page + i, r->began, true);
	model_finish(model, w->slot);
	return rc;
}

/* Where a request fails, page by page, as that one says nothing of its
 * neighbours. */
static uint64_t read_all(struct worker *w)
{
	uint64_t present = 0, stamp = 0, page = 0;
	int rc;

	while (page < n_pages) {
		struct request r = { .op = READ, .page = page };
		uint64_t left = n_pages - page;

		r.n = left < options.max_pages ? left : options.max_pages;
		page += r.n;
		if (!read_quietly(w, &r))
			continue;
		for (r.n = 1; r.page < page; r.page++) {
			rc = read_quietly(w, &r);
			if (rc)
				request_failed(w, &r, rc);
		}
	}
	for (page = 0; page < n_pages; page++)
		present += model_may(model, page, &stamp) == 1 && stamp;
	return present;
}

static void report(uint64_t present)
{
	if (!options.report)
		return;
	printf("seed=%" PRIu64 " seconds=%.1f reads=%" PRIu64 " writes=%" PRIu64
	       " trims=%" PRIu64 " failed_reads=%" PRIu64
	       " failed_writes=%" PRIu64 " pages_checked=%" PRIu64
	       " present=%" PRIu64 " blind=%" PRIu64 " read_p50_us=%" PRIu64
	       " read_p99_us=%" PRIu64 " read_max_us=%" PRIu64
	       " violations=%" PRIu64 "\n",
	       options.seed, seconds(), done[READ], done[WRITE],
	       done[TRIM] + done[ZERO], failed[READ],
	       failed[WRITE] + failed[TRIM] + failed[ZERO], pages_checked,
	       present, model_blind(model), latency_us(&reads, 50),
	       latency_us(&reads, 99), reads.max_ns / 1000, violations);
	fflush(stdout);
}

static void close_all(struct worker *workers)
{
	for (unsigned i = 0; i < options.threads; i++) {
		free(workers[i].buf);
		free(workers[i].stamps);
		if (i && workers[i].target == workers[0].target)
			continue;
		workers[i].target->ops->close(workers[i].target);
		if (i)
			free(workers[i].target);
	}
	free(workers[0].target);
	model_free(model);
	free((void *)users);
	free(workers);
}

static void start_thread(pthread_t *thread, void *(*main_of)(void *), void *arg)
{
	if (pthread_create(thread, NULL, main_of, arg))
		abort();
}

int main(int argc, char **argv)
{
	struct worker *workers;
	struct watch watcher = { 0 };

	options_parse(&options, argc, argv);
	printf("torture: seed %" PRIu64 "\n", options.seed);
	fflush(stdout);
	workers = allocate(options.threads, sizeof *workers);
	start_ns = now_ns();
	open_all(workers);
	start_pages(workers[0].target->bytes);
	end_ns = start_ns + options.seconds * NS;
	watcher.workers = workers;
	start_thread(&watcher.thread, watch, &watcher);
	for (unsigned i = 0; i < options.threads; i++)
		start_thread(&workers[i].thread, run, &workers[i]);
	for (unsigned i = 0; i < options.threads; i++)
		pthread_join(workers[i].thread, NULL);
	report(read_all(&workers[0]));
	atomic_store(&watcher.end, true);
	pthread_join(watcher.thread, NULL);
	close_all(workers);
	return violations ? 1 : 0;
}
