// SPDX-License-Identifier: BSD-3-Clause
/*
 * nbdlat: how long one request takes through libnbd, one at a time, at random
 * pages; with --writes=N while another connection keeps that many writes in
 * flight.  With --stride=BYTES the requests go to pages that lie so far apart,
 * from the first page on, without requests before them to warm up: on a new
 * device each write then needs a new slab.  Prints percentiles in microseconds
 * as key=value.
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

#include <libnbd.h>

#define PAGE_BYTES 4096
#define NS_PER_S   UINT64_C(1000000000)
#define WARM_UP	   64
#define WRITES_MAX 256

struct options {
	const char *socket;
	bool write;
	uint64_t count;
	uint64_t writes; /* in flight meanwhile */
	uint64_t stride; /* in pages; 0: random pages */
};

/* The connection that keeps writes in flight. */
struct load {
	const char *socket;
	uint64_t writes;
	atomic_bool stop;
	_Atomic uint64_t done;
	pthread_t thread;
};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "nbdlat: %s: %s\n", what, why);
	exit(1);
}

static _Noreturn void die_nbd(const char *what)
{
	die(what, nbd_get_error());
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Pages of zeros need no network, so these are none. */
static void fill_random(char *buf, uint64_t seed)
{
	for (size_t i = 0; i < PAGE_BYTES; i += sizeof seed) {
		next_random(&seed);
		memcpy(buf + i, &seed, sizeof seed);
	}
}

static struct nbd_handle *connect_to(const char *socket)
{
	struct nbd_handle *nbd = nbd_create();

	if (!nbd || nbd_connect_unix(nbd, socket) < 0)
		die_nbd(socket);
	return nbd;
}

static uint64_t pages_of(struct nbd_handle *nbd)
{
	int64_t bytes = nbd_get_size(nbd);

	if (bytes < PAGE_BYTES)
		die_nbd("size");
	return (uint64_t)bytes / PAGE_BYTES;
}

/* --- the load --- */

static int write_done(void *arg, int *error)
{
	struct load *load = arg;

	if (*error)
		die("a write in the background", strerror(*error));
	load->done++;
	return 1; /* libnbd forgets the request */
}

static void keep_in_flight(struct load *load, struct nbd_handle *nbd, char *buf)
{
	uint64_t pages = pages_of(nbd), random = 4711;

	while (!load->stop) {
		while (nbd_aio_in_flight(nbd) < (int)load->writes) {
			uint64_t page = next_random(&random) % pages;
			nbd_completion_callback done = { .callback = write_done,
							 .user_data = load };

			if (nbd_aio_pwrite(nbd, buf, PAGE_BYTES,
					   page * PAGE_BYTES, done, 0) < 0)
				die_nbd("a write in the background");
		}
		if (nbd_poll(nbd, 100) < 0)
			die_nbd("poll");
	}
	while (nbd_aio_in_flight(nbd) > 0)
		if (nbd_poll(nbd, 100) < 0)
			die_nbd("poll");
}

static void *load_main(void *arg)
{
	struct load *load = arg;
	struct nbd_handle *nbd = connect_to(load->socket);
	char buf[PAGE_BYTES];

	fill_random(buf, 815);
	keep_in_flight(load, nbd, buf);
	nbd_close(nbd);
	return NULL;
}

static void start_load(struct load *load)
{
	int err;

	if (!load->writes)
		return;
	err = pthread_create(&load->thread, NULL, load_main, load);
	if (err)
		die("a thread", strerror(err));
	while (load->done < load->writes)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void stop_load(struct load *load)
{
	if (!load->writes)
		return;
	load->stop = true;
	pthread_join(load->thread, NULL);
}

/* --- what is measured --- */

static void request(struct nbd_handle *nbd, bool write, char *buf,
		    uint64_t page)
{
	int rc = write ? nbd_pwrite(nbd, buf, PAGE_BYTES, page * PAGE_BYTES, 0)
		       : nbd_pread(nbd, buf, PAGE_BYTES, page * PAGE_BYTES, 0);

	if (rc < 0)
		die_nbd(write ? "a write" : "a read");
}

static void measure(const struct options *opt, struct nbd_handle *nbd,
		    uint64_t *latency_ns)
{
	uint64_t pages = pages_of(nbd), random = 42, start;
	char buf[PAGE_BYTES];

	fill_random(buf, 1234);
	for (int i = 0; i < WARM_UP && !opt->stride; i++)
		request(nbd, opt->write, buf, next_random(&random) % pages);
	for (uint64_t i = 0; i < opt->count; i++) {
		uint64_t page =
			opt->stride ? i * opt->stride : next_random(&random);

		page %= pages;

		start = now_ns();
		request(nbd, opt->write, buf, page);
		latency_ns[i] = now_ns() - start;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print_percentiles(uint64_t *latency_ns, uint64_t count)
{
	static const struct {
		const char *name;
		double part;
	} wanted[] = {
		{ "1", 0.01 },	{ "10", 0.10 }, { "25", 0.25 },
		{ "50", 0.50 }, { "75", 0.75 }, { "90", 0.90 },
		{ "95", 0.95 }, { "99", 0.99 }, { "99.9", 0.999 },
	};

	qsort(latency_ns, count, sizeof *latency_ns, compare);
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		uint64_t at = (uint64_t)(wanted[i].part * (double)count);

		printf("%s=%.2f\n", wanted[i].name,
		       (double)latency_ns[at] / 1000);
	}
}

static void usage(FILE *out)
{
	fputs("usage: nbdlat --socket=PATH [OPTION]...\n"
	      "\n"
	      "  --write      measure writes (default: reads)\n"
	      "  --count=N    requests, 1 to 10000000 (default 1000)\n"
	      "  --writes=N   keep N writes in flight on another connection,\n"
	      "               0 to 256 (default 0)\n"
	      "  --stride=N   pages N bytes apart (default: random pages)\n"
	      "  --help\n",
	      out);
}

static uint64_t parse_number(const char *name, const char *text, uint64_t min,
			     uint64_t max)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min ||
	    value > max) {
		fprintf(stderr,
			"nbdlat: --%s=%s: allowed is a number from %" PRIu64
			" to %" PRIu64 "\n",
			name, text, min, max);
		exit(1);
	}
	return value;
}

static void parse_options(struct options *opt, int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "write", no_argument, NULL, 'w' },
		{ "count", required_argument, NULL, 'c' },
		{ "writes", required_argument, NULL, 'f' },
		{ "stride", required_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int key;

	while ((key = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (key == 's') {
			opt->socket = optarg;
		} else if (key == 'w') {
			opt->write = true;
		} else if (key == 'c') {
			opt->count = parse_number("count", optarg, 1, 10000000);
		} else if (key == 'f') {
			opt->writes =
				parse_number("writes", optarg, 0, WRITES_MAX);
		} else if (key == 't') {
			opt->stride = parse_number("stride", optarg, PAGE_BYTES,
						   INT64_MAX) /
				      PAGE_BYTES;
		} else {
			usage(key == 'h' ? stdout : stderr);
			exit(key == 'h' ? 0 : 1);
		}
	}
	if (!opt->socket || optind < argc) {
		usage(stderr);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct options opt = { .count = 1000 };
	struct load load = { 0 };
	struct nbd_handle *nbd;
	uint64_t *latency_ns;

	parse_options(&opt, argc, argv);
	latency_ns = calloc(opt.count, sizeof *latency_ns);
	if (!latency_ns)
		die("memory", strerror(errno));
	load.socket = opt.socket;
	load.writes = opt.writes;
	nbd = connect_to(opt.socket);
	start_load(&load);
	measure(&opt, nbd, latency_ns);
	stop_load(&load);
	print_percentiles(latency_ns, opt.count);
	printf("background_writes=%" PRIu64 "\n", load.done);
	nbd_close(nbd);
	free(latency_ns);
	return 0;
}
