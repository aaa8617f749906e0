/* Random requests over several connections, several in flight on each, verified
 * against a shadow copy of what every page must hold.
 *
 *   shadow [OPTION...] URI
 *
 *   --seed=N         of the random numbers; printed
 *   --seconds=N      how long (5)
 *   --connections=N  one thread each (4)
 *   --depth=N        requests in flight on each (4)
 *   --size=BYTES     of the device's front to use (all of it)
 *   --max=BYTES      the largest request (4M)
 *   --pause=US       each connection rests so long when it has looked at its
 *                    requests (0): a load that leaves processors to others
 *   --no-trims       no trims, zeroes and flushes
 *   --trim-at-end    trims all at the end
 *   --tolerate-eio   EIO and ENOSPC of reads and writes are no mismatch; wrong
 *                    bytes always are
 *   --max-latency=S  no request may take longer
 *   --until=FILE     ends when there is that file
 *
 * A request has its pages to itself, but for other reads; so whatever a page
 * holds was acknowledged, over whichever connection, before it is read.
 * Exit status 1 at the first mismatch, which is told with the page, what was
 * expected and what was found.
 */
#include <errno.h>
#include <getopt.h>
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

#include <libnbd.h>

#include "content.h"

#define REQUEST_MAX (32u << 20)
#define NS	    1000000000ull

/* A page may hold any of these: one, but for what a failed write leaves. */
#define MAY_MAX 4

struct page {
	uint64_t may[MAY_MAX]; /* stamps */
	uint8_t n_may;	       /* 0: too many to remember */
	int16_t users;	       /* readers, or -1: a writer */
};

enum op { READ, WRITE, TRIM, ZERO, FLUSH, OPS };

static const char *const op_names[] = { "read", "write", "trim", "zero",
					"flush" };

struct slot {
	enum op op;
	int64_t cookie; /* 0: free */
	uint64_t page, n;
	uint64_t start_ns;
	char *buf;
	uint64_t *stamps;
};

struct connection {
	struct nbd_handle *nbd;
	struct slot *slots;
	uint64_t random;
	pthread_t thread;
};

static struct options {
	uint64_t seed, seconds, connections, depth, size, max, max_latency_s;
	uint64_t pause_us;
	bool no_trims, trim_at_end, tolerate_eio;
	const char *until;
} options = { .seconds = 5, .connections = 4, .depth = 4, .max = 4u << 20 };

static struct page *pages; /* users under lock, the rest the users' */
static uint64_t n_pages;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t end_ns;
static _Atomic uint64_t next_stamp = 1;
static _Atomic uint64_t done[OPS], failed;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

static uint64_t draw(struct connection *c)
{
	return content_mix(c->random += 0x9e3779b97f4a7c15u);
}

static void die(const char *what)
{
	fprintf(stderr, "shadow: seed %" PRIu64 ": %s: %s\n", options.seed,
		what, nbd_get_error());
	_exit(1);
}

/* --- who has which pages --- */

static bool claim(uint64_t page, uint64_t n, bool write)
{
	bool free = true;

	pthread_mutex_lock(&lock);
	for (uint64_t i = page; i < page + n && free; i++)
		free = write ? pages[i].users == 0 : pages[i].users >= 0;
	for (uint64_t i = page; i < page + n && free; i++)
		pages[i].users = write ? -1 : (int16_t)(pages[i].users + 1);
	pthread_mutex_unlock(&lock);
	return free;
}

static void release(uint64_t page, uint64_t n)
{
	pthread_mutex_lock(&lock);
	for (uint64_t i = page; i < page + n; i++)
		pages[i].users =
			(int16_t)(pages[i].users > 0 ? pages[i].users - 1 : 0);
	pthread_mutex_unlock(&lock);
}

/* --- what pages hold --- */

static void mismatch(const struct page *p, const char *buf, uint64_t page)
{
	char text[100];

	fprintf(stderr,
		"shadow: MISMATCH at page %" PRIu64 " (seed %" PRIu64
		"): expected",
		page, options.seed);
	for (int i = 0; i < p->n_may; i++)
		fprintf(stderr, "%s stamp %" PRIu64 "%s", i ? " or" : "",
			p->may[i], p->may[i] ? "" : " (zeros)");
	fprintf(stderr, ", found %s\n",
		content_describe(buf, text, sizeof text));
	_exit(1);
}

/* Other readers may do the same to P at the same time, and find the same, but
 * for a page that a failed write has left: under the lock, then. */
static void verify_unsure(struct page *p, const char *buf, uint64_t page)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < p->n_may; i++) {
		if (!content_is(buf, page, p->may[i]))
			continue;
		/* From here on it is that. */
		p->may[0] = p->may[i];
		p->n_may = 1;
		pthread_mutex_unlock(&lock);
		return;
	}
	if (p->n_may)
		mismatch(p, buf, page);
	pthread_mutex_unlock(&lock);
}

static void verify(const char *buf, uint64_t page, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		verify_unsure(&pages[page + i], buf + i * PAGE, page + i);
}

static void holds(uint64_t page, uint64_t stamp)
{
	pages[page].may[0] = stamp;
	pages[page].n_may = 1;
}

static void may_hold(uint64_t page, uint64_t stamp)
{
	struct page *p = &pages[page];

	if (p->n_may && p->n_may < MAY_MAX)
		p->may[p->n_may++] = stamp;
	else
		p->n_may = 0;
}

/* --- requests --- */

/* Few pages are the rule, and up to the maximum the exception. */
static void choose_range(struct connection *c, struct slot *s)
{
	uint64_t max = options.max / PAGE;

	s->n = 1 + draw(c) % (1ull << draw(c) % 14);
	if (s->n > max)
		s->n = max;
	if (s->n > n_pages)
		s->n = n_pages;
	s->page = draw(c) % (n_pages - s->n + 1);
}

static void choose_op(struct connection *c, struct slot *s)
{
	uint64_t dice = draw(c) % (options.no_trims ? 84 : 100);

	s->op = dice < 44   ? READ
		: dice < 84 ? WRITE
		: dice < 92 ? TRIM
		: dice < 98 ? ZERO
			    : FLUSH;
}

static void fill(struct connection *c, struct slot *s)
{
	uint64_t stamp = atomic_fetch_add(&next_stamp, 1);
	uint64_t zeros = draw(c) % 4 == 0 ? 3 : 9; /* one page in so many */

	for (uint64_t i = 0; i < s->n; i++) {
		bool zero = zeros < 9 && draw(c) % zeros == 0;

		s->stamps[i] = zero ? 0 : stamp;
		content_fill(s->buf + i * PAGE, s->page + i, s->stamps[i]);
	}
}

static void issue(struct connection *c, struct slot *s)
{
	uint64_t offset = s->page * PAGE, bytes = s->n * PAGE;
	uint32_t fua = draw(c) % 8 == 0 ? LIBNBD_CMD_FLAG_FUA : 0;
	uint32_t zero = (draw(c) % 2 ? LIBNBD_CMD_FLAG_FAST_ZERO : 0) |
			(draw(c) % 2 ? LIBNBD_CMD_FLAG_NO_HOLE : 0);

	s->start_ns = now_ns();
	switch (s->op) {
	case READ:
		memset(s->buf, 0xa5, bytes);
		s->cookie = nbd_aio_pread(c->nbd, s->buf, bytes, offset,
					  NBD_NULL_COMPLETION, 0);
		break;
	case WRITE:
		fill(c, s);
		s->cookie = nbd_aio_pwrite(c->nbd, s->buf, bytes, offset,
					   NBD_NULL_COMPLETION, fua);
		break;
	case TRIM:
		s->cookie = nbd_aio_trim(c->nbd, bytes, offset,
					 NBD_NULL_COMPLETION, fua);
		break;
	case ZERO:
		s->cookie = nbd_aio_zero(c->nbd, bytes, offset,
					 NBD_NULL_COMPLETION, fua | zero);
		break;
	default:
		s->cookie = nbd_aio_flush(c->nbd, NBD_NULL_COMPLETION, 0);
	}
	if (s->cookie < 0)
		die(op_names[s->op]);
}

static bool start_one(struct connection *c, struct slot *s)
{
	for (int tries = 0; tries < 50; tries++) {
		choose_op(c, s);
		choose_range(c, s);
		if (s->op == FLUSH)
			s->n = 0;
		if (!claim(s->page, s->n, s->op != READ))
			continue;
		issue(c, s);
		return true;
	}
	return false;
}

static void check_latency(const struct slot *s)
{
	uint64_t took_ns = now_ns() - s->start_ns;

	if (!options.max_latency_s || took_ns <= options.max_latency_s * NS)
		return;
	fprintf(stderr,
		"shadow: seed %" PRIu64 ": a %s of %" PRIu64
		" pages took %.1f seconds\n",
		options.seed, op_names[s->op], s->n, (double)took_ns / NS);
	_exit(1);
}

static void succeeded(struct slot *s)
{
	switch (s->op) {
	case READ:
		verify(s->buf, s->page, s->n);
		break;
	case WRITE:
		for (uint64_t i = 0; i < s->n; i++)
			holds(s->page + i, s->stamps[i]);
		break;
	default:
		for (uint64_t i = 0; i < s->n; i++)
			holds(s->page + i, 0);
	}
}

static void failed_with(struct slot *s, int error)
{
	bool may = (s->op == READ || s->op == WRITE) &&
		   (error == EIO || (error == ENOSPC && s->op == WRITE));

	if (!options.tolerate_eio || !may)
		die(op_names[s->op]);
	atomic_fetch_add(&failed, 1);
	for (uint64_t i = 0; i < s->n && s->op == WRITE; i++)
		may_hold(s->page + i, s->stamps[i]);
}

/* True when S has completed. */
static bool finish_one(struct connection *c, struct slot *s)
{
	int rc = nbd_aio_command_completed(c->nbd, (uint64_t)s->cookie);

	if (rc == 0)
		return false;
	check_latency(s);
	if (rc > 0)
		succeeded(s);
	else
		failed_with(s, nbd_get_errno());
	atomic_fetch_add(&done[s->op], 1);
	release(s->page, s->n);
	s->cookie = 0;
	return true;
}

/* Whether it is time to end. */
static bool over(void)
{
	return now_ns() >= end_ns ||
	       (options.until && !access(options.until, F_OK));
}

static void *run(void *arg)
{
	struct connection *c = arg;
	uint64_t in_flight;

	do {
		bool more = !over();

		in_flight = 0;
		for (uint64_t i = 0; i < options.depth; i++) {
			struct slot *s = &c->slots[i];

			if (s->cookie)
				finish_one(c, s);
			if (!s->cookie && more)
				start_one(c, s);
			in_flight += s->cookie != 0;
		}
		if (nbd_poll(c->nbd, in_flight ? 20 : 1) < 0)
			die("the connection");
		usleep((useconds_t)options.pause_us);
	} while (in_flight || !over());
	return NULL;
}

/* --- beginning and end --- */

static void *allocate(uint64_t n, uint64_t bytes)
{
	void *p = calloc(n, bytes);

	if (!p)
		abort();
	return p;
}

static void connect_one(struct connection *c, const char *uri, uint64_t i)
{
	c->nbd = nbd_create();
	if (!c->nbd || nbd_connect_uri(c->nbd, uri) < 0)
		die(uri);
	if (nbd_can_multi_conn(c->nbd) <= 0)
		die("can_multi_conn");
	c->random = content_mix(options.seed * 1000 + i);
	c->slots = allocate(options.depth, sizeof *c->slots);
	for (uint64_t j = 0; j < options.depth; j++) {
		c->slots[j].buf = allocate(options.max, 1);
		c->slots[j].stamps =
			allocate(options.max / PAGE, sizeof(uint64_t));
	}
}

static void start_pages(struct nbd_handle *nbd)
{
	uint64_t bytes = (uint64_t)nbd_get_size(nbd);

	if (options.size && options.size < bytes)
		bytes = options.size;
	n_pages = bytes / PAGE;
	pages = allocate(n_pages, sizeof *pages);
	for (uint64_t i = 0; i < n_pages; i++)
		holds(i, 0);
}

/* Everything once more, with nothing else going on; how many pages hold more
 * than zeros. */
static uint64_t verify_all(struct nbd_handle *nbd)
{
	uint64_t step = options.tolerate_eio ? 1 : options.max / PAGE;
	char *buf = allocate(step, PAGE);
	uint64_t present = 0;

	for (uint64_t page = 0; page < n_pages; page += step) {
		uint64_t n = n_pages - page < step ? n_pages - page : step;

		if (nbd_pread(nbd, buf, n * PAGE, page * PAGE, 0) == 0)
			verify(buf, page, n);
		else if (!options.tolerate_eio || nbd_get_errno() != EIO)
			die("reading all at the end");
		for (uint64_t i = page; i < page + n; i++)
			present += pages[i].n_may == 1 && pages[i].may[0];
	}
	free(buf);
	return present;
}

static void trim_all(struct nbd_handle *nbd)
{
	const uint64_t step = REQUEST_MAX / PAGE;

	for (uint64_t page = 0; page < n_pages; page += step) {
		uint64_t n = n_pages - page < step ? n_pages - page : step;

		if (nbd_trim(nbd, n * PAGE, page * PAGE, 0) < 0)
			die("trimming all at the end");
		for (uint64_t i = page; i < page + n; i++)
			holds(i, 0);
	}
	verify_all(nbd);
}

static uint64_t number(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 0);

	if (*end == 'K')
		n <<= 10;
	else if (*end == 'M')
		n <<= 20;
	else if (*end || end == text) {
		fprintf(stderr, "shadow: %s: not a number\n", text);
		exit(2);
	}
	return n;
}

static void parse(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seconds", required_argument, NULL, 't' },
		{ "connections", required_argument, NULL, 'c' },
		{ "depth", required_argument, NULL, 'd' },
		{ "size", required_argument, NULL, 'z' },
		{ "max", required_argument, NULL, 'm' },
		{ "max-latency", required_argument, NULL, 'l' },
		{ "pause", required_argument, NULL, 'p' },
		{ "until", required_argument, NULL, 'u' },
		{ "no-trims", no_argument, NULL, 'n' },
		{ "trim-at-end", no_argument, NULL, 'e' },
		{ "tolerate-eio", no_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	int got;

	options.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	while ((got = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (got) {
		case 's':
			options.seed = number(optarg);
			break;
		case 't':
			options.seconds = number(optarg);
			break;
		case 'c':
			options.connections = number(optarg);
			break;
		case 'd':
			options.depth = number(optarg);
			break;
		case 'z':
			options.size = number(optarg);
			break;
		case 'm':
			options.max = number(optarg);
			break;
		case 'l':
			options.max_latency_s = number(optarg);
			break;
		case 'p':
			options.pause_us = number(optarg);
			break;
		case 'u':
			options.until = optarg;
			break;
		case 'n':
			options.no_trims = true;
			break;
		case 'e':
			options.trim_at_end = true;
			break;
		case 'i':
			options.tolerate_eio = true;
			break;
		default:
			exit(2);
		}
	}
	if (optind != argc - 1 || options.max % PAGE || !options.max ||
	    options.max > REQUEST_MAX || !options.connections ||
	    !options.depth) {
		fprintf(stderr, "usage: shadow [OPTION...] URI\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct connection *c;
	uint64_t present;

	parse(argc, argv);
	printf("shadow: seed %" PRIu64 "\n", options.seed);
	fflush(stdout);
	c = allocate(options.connections, sizeof *c);
	for (uint64_t i = 0; i < options.connections; i++)
		connect_one(&c[i], argv[optind], i);
	start_pages(c[0].nbd);
	end_ns = now_ns() + options.seconds * NS;
	for (uint64_t i = 0; i < options.connections; i++) {
		if (pthread_create(&c[i].thread, NULL, run, &c[i]))
			abort();
	}
	for (uint64_t i = 0; i < options.connections; i++)
		pthread_join(c[i].thread, NULL);
	present = verify_all(c[0].nbd);
	if (options.trim_at_end)
		trim_all(c[0].nbd);
	printf("shadow: reads %" PRIu64 " writes %" PRIu64 " trims %" PRIu64
	       " zeroes %" PRIu64 " failed %" PRIu64 " present %" PRIu64 "\n",
	       done[READ], done[WRITE], done[TRIM], done[ZERO], failed,
	       present);
	for (uint64_t i = 0; i < options.connections; i++) {
		for (uint64_t j = 0; j < options.depth; j++) {
			free(c[i].slots[j].stamps);
			free(c[i].slots[j].buf);
		}
		free(c[i].slots);
		nbd_shutdown(c[i].nbd, 0);
		nbd_close(c[i].nbd);
	}
	free(pages);
	free(c);
	return 0;
}
