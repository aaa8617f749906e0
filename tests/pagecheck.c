// SPDX-License-Identifier: BSD-3-Clause
/*
 * pagecheck: a program whose memory exceeds its limit, and that knows what
 * every byte of it has to be.
 *
 * Each page's content is derived from (seed, page number, generation), so a
 * page that comes back stale, zeroed, torn or as another page is noticed.
 * Only the generations are kept beside the pages, locked in memory where
 * that is allowed.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define PAGE_BYTES 4096
#define PAGE_WORDS (PAGE_BYTES / sizeof(uint64_t))
#define NS_PER_S   UINT64_C(1000000000)

/*
 * Latencies are counted in buckets: 32 for each power of two of nanoseconds,
 * so a percentile is off by at most 3 %.
 */
#define SUB_BITS    5
#define SUB_BUCKETS (1u << SUB_BITS)
#define BUCKETS	    (64 * SUB_BUCKETS)

struct options {
	uint64_t size_bytes;
	uint64_t random_touches; /* 0: no limit but the time */
	uint64_t random_ns;	 /* 0: no limit but the number */
	uint64_t passes;
	uint64_t write_percent;
	uint64_t
		period_words; /* of a page: its content repeats after so many */
	double zipf;	      /* 0: each page as often as any other */
	uint64_t seed;
	bool progress;
};

struct swap_counters {
	uint64_t in_pages;
	uint64_t out_pages;
};

/* Counts by latency. */
struct histogram {
	uint32_t bucket[BUCKETS];
	uint64_t count;
};

/* Zipf's distribution of ranks 0 to pages - 1, by the method of Gray et al.,
 * "Quickly generating billion-record synthetic databases". */
struct zipf {
	double exponent, zeta, alpha, eta;
};

struct check {
	struct options opt;
	uint64_t *memory;
	uint32_t *generation; /* one for each page, 1 when filled */
	uint64_t pages;
	uint64_t verified_pages;
	uint64_t next_progress_ns;
	struct swap_counters at_start;
	uint64_t start_ns;
	struct zipf zipf;
	struct histogram touches;
	struct histogram faults; /* touches that had to wait for swap */
	uint64_t major_faults;	 /* of this thread, so far */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static double rate(uint64_t count, uint64_t ns)
{
	return ns ? (double)count * (double)NS_PER_S / (double)ns : 0;
}

/* splitmix64's output function: every bit of x reaches every bit. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t xorshift(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ (x << 17);
}

/*
 * The first word of a page; see next_word for the others.  Never zero, because
 * xorshift would stay there.
 */
static uint64_t first_word(const struct check *c, uint64_t page,
			   uint32_t generation)
{
	return mix(mix(c->opt.seed + page) + generation) | 1;
}

/* The word after the word AT, which is WORD, of a page that begins with FIRST.
 */
static uint64_t next_word(const struct check *c, size_t at, uint64_t word,
			  uint64_t first)
{
	return (at + 1) % c->opt.period_words ? xorshift(word) : first;
}

static uint64_t *page_address(const struct check *c, uint64_t page)
{
	return c->memory + page * PAGE_WORDS;
}

static void write_page(struct check *c, uint64_t page)
{
	uint64_t *p = page_address(c, page);
	const uint64_t first = first_word(c, page, ++c->generation[page]);
	uint64_t word = first;

	for (size_t i = 0; i < PAGE_WORDS; i++) {
		p[i] = word;
		word = next_word(c, i, word, first);
	}
}

static _Noreturn void report_mismatch(const struct check *c, uint64_t page,
				      size_t word, uint64_t expected)
{
	uint64_t found = page_address(c, page)[word];

	fprintf(stderr,
		"pagecheck: page %" PRIu64 " generation %" PRIu32
		" byte %zu: expected 0x%016" PRIx64 ", found 0x%016" PRIx64
		"\n",
		page, c->generation[page], word * sizeof(uint64_t), expected,
		found);
	for (uint32_t g = c->generation[page] - 1; word == 0 && g; g--) {
		if (found == first_word(c, page, g))
			fprintf(stderr,
				"pagecheck: that is generation %" PRIu32
				" of the same page\n",
				g);
	}
	printf("verified_pages=%" PRIu64 "\nmismatches=1\n", c->verified_pages);
	exit(1);
}

static void verify_page(struct check *c, uint64_t page)
{
	const uint64_t *p = page_address(c, page);
	const uint64_t first = first_word(c, page, c->generation[page]);
	uint64_t word = first;

	for (size_t i = 0; i < PAGE_WORDS; i++) {
		if (p[i] != word)
			report_mismatch(c, page, i, word);
		word = next_word(c, i, word, first);
	}
	c->verified_pages++;
}

static struct swap_counters read_swap_counters(void)
{
	struct swap_counters counters = { 0 };
	FILE *f = fopen("/proc/vmstat", "r");
	char line[128];

	if (!f)
		return counters;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "pswpin %" SCNu64, &counters.in_pages);
		sscanf(line, "pswpout %" SCNu64, &counters.out_pages);
	}
	fclose(f);
	return counters;
}

static struct swap_counters swapped_since_start(const struct check *c)
{
	struct swap_counters now = read_swap_counters();

	now.in_pages -= c->at_start.in_pages;
	now.out_pages -= c->at_start.out_pages;
	return now;
}

/* A line a second; of is 0 where the end is not known. */
static void progress(struct check *c, const char *what, uint64_t done,
		     uint64_t of)
{
	struct swap_counters swapped;
	uint64_t now;

	if (!c->opt.progress)
		return;
	now = now_ns();
	if (now < c->next_progress_ns)
		return;
	c->next_progress_ns = now + NS_PER_S;
	swapped = swapped_since_start(c);
	fprintf(stderr, "%4" PRIu64 " s  %s %" PRIu64,
		(now - c->start_ns) / NS_PER_S, what, done);
	if (of)
		fprintf(stderr, " of %" PRIu64, of);
	fprintf(stderr, "  swapped out %" PRIu64 " in %" PRIu64 "\n",
		swapped.out_pages, swapped.in_pages);
}

/* 64 pages at a time, so that the clock costs nothing. */
static bool progress_due(uint64_t page)
{
	return page % 64 == 0;
}

static uint64_t fill(struct check *c)
{
	uint64_t start = now_ns();

	for (uint64_t page = 0; page < c->pages; page++) {
		write_page(c, page);
		if (progress_due(page))
			progress(c, "fill page", page, c->pages);
	}
	return now_ns() - start;
}

static uint64_t read_in_order(struct check *c, const char *what)
{
	uint64_t start = now_ns();

	for (uint64_t page = 0; page < c->pages; page++) {
		verify_page(c, page);
		if (progress_due(page))
			progress(c, what, page, c->pages);
	}
	return now_ns() - start;
}

static unsigned int bucket_of(uint64_t ns)
{
	unsigned int log, shift;

	if (ns < SUB_BUCKETS)
		return (unsigned int)ns;
	log = 63 - (unsigned int)__builtin_clzll(ns);
	shift = log - SUB_BITS;
	return (shift + 1) * SUB_BUCKETS +
	       (unsigned int)((ns >> shift) - SUB_BUCKETS);
}

/* The largest latency that falls into the bucket. */
static uint64_t bucket_ns(unsigned int bucket)
{
	unsigned int shift;

	if (bucket < SUB_BUCKETS)
		return bucket;
	shift = bucket / SUB_BUCKETS - 1;
	return ((UINT64_C(1) + SUB_BUCKETS + bucket % SUB_BUCKETS) << shift) -
	       1;
}

static void count_latency(struct histogram *h, uint64_t ns)
{
	h->bucket[bucket_of(ns)]++;
	h->count++;
}

/* permille of them took no longer, in microseconds. */
static double latency_us(const struct histogram *h, uint64_t permille)
{
	uint64_t wanted = (h->count * permille + 999) / 1000;
	uint64_t seen = 0;

	for (unsigned int b = 0; b < BUCKETS && h->count; b++) {
		seen += h->bucket[b];
		if (seen >= wanted)
			return (double)bucket_ns(b) / 1000;
	}
	return 0;
}

/* Whether this thread had to wait for swap since it was last asked. */
static bool faulted(struct check *c)
{
	struct rusage usage;
	uint64_t before = c->major_faults;

	getrusage(RUSAGE_THREAD, &usage);
	c->major_faults = (uint64_t)usage.ru_majflt;
	return c->major_faults != before;
}

/* Timed is the fault, not the check of the page that it brings. */
static void touch_page(struct check *c, uint64_t page, bool rewrite)
{
	uint64_t start, ns;

	faulted(c);
	start = now_ns();
	(void)*(volatile uint64_t *)page_address(c, page);
	ns = now_ns() - start;
	count_latency(&c->touches, ns);
	if (faulted(c))
		count_latency(&c->faults, ns);
	verify_page(c, page);
	if (rewrite)
		write_page(c, page);
}

static void zipf_prepare(struct zipf *z, double exponent, uint64_t pages)
{
	double two = 1 + pow(0.5, exponent);

	z->exponent = exponent;
	for (uint64_t i = 1; i <= pages; i++)
		z->zeta += pow(1 / (double)i, exponent);
	z->alpha = 1 / (1 - exponent);
	z->eta = (1 - pow(2 / (double)pages, 1 - exponent)) /
		 (1 - two / z->zeta);
}

/* part is from 0 to less than 1. */
static uint64_t zipf_rank(const struct zipf *z, uint64_t pages, double part)
{
	uint64_t rank;

	if (part * z->zeta < 1)
		return 0;
	if (part * z->zeta < 1 + pow(0.5, z->exponent))
		return 1;
	rank = (uint64_t)((double)pages *
			  pow(z->eta * part - z->eta + 1, z->alpha));
	return rank < pages ? rank : pages - 1;
}

/* Pages of neighbouring ranks lie far from each other, or readahead would
 * bring them. */
static uint64_t random_page(const struct check *c, uint64_t random)
{
	double part = (double)(random >> 11) / (double)(UINT64_C(1) << 53);

	if (c->opt.zipf <= 0)
		return random % c->pages;
	return zipf_rank(&c->zipf, c->pages, part) * UINT64_C(2654435761) %
	       c->pages;
}

static volatile sig_atomic_t ended;

/* SIGTERM ends the random touches, as if their time were over. */
static void end(int sig)
{
	(void)sig;
	ended = 1;
}

static bool random_done(const struct options *opt, uint64_t touches,
			uint64_t start_ns)
{
	if (ended || (opt->random_touches && touches >= opt->random_touches))
		return true;
	return opt->random_ns && now_ns() - start_ns >= opt->random_ns;
}

/* Returns the number of touches. */
static uint64_t touch_at_random(struct check *c, uint64_t *ns)
{
	const struct options *opt = &c->opt;
	uint64_t start = now_ns(), touches = 0;
	uint64_t random = mix(opt->seed) | 1;

	*ns = 0;
	if (!opt->random_touches && !opt->random_ns)
		return 0;
	while (!random_done(opt, touches, start)) {
		random = xorshift(random);
		touch_page(c, random_page(c, mix(random)),
			   (random >> 20) % 100 < opt->write_percent);
		touches++;
		progress(c, "random touch", touches, opt->random_touches);
	}
	*ns = now_ns() - start;
	return touches;
}

static _Noreturn void die(const char *format, const char *what)
{
	fputs("pagecheck: ", stderr);
	fprintf(stderr, format, what);
	fputc('\n', stderr);
	exit(2);
}

static void *map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap: %s", strerror(errno));
	return p;
}

static void allocate(struct check *c)
{
	uint64_t generation_bytes = c->pages * sizeof(*c->generation);

	c->memory = map(c->pages * PAGE_BYTES);
	/* A huge page would hide the single pages' way to swap. */
	madvise(c->memory, c->pages * PAGE_BYTES, MADV_NOHUGEPAGE);
	c->generation = map(generation_bytes);
	if (mlock(c->generation, generation_bytes))
		fprintf(stderr,
			"pagecheck: the generations are not locked: %s\n",
			strerror(errno));
}

static void print_rate(const char *key, uint64_t count, uint64_t ns)
{
	printf("%s=%.0f\n", key, rate(count, ns));
}

static void print_latency(const char *key, const struct histogram *h)
{
	static const struct {
		const char *name;
		uint64_t permille;
	} wanted[] = {
		{ "p10", 100 }, { "p25", 250 }, { "p50", 500 }, { "p75", 750 },
		{ "p90", 900 }, { "p95", 950 }, { "p99", 990 }, { "p999", 999 },
	};

	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
		printf("%s_%s_us=%.1f\n", key, wanted[i].name,
		       latency_us(h, wanted[i].permille));
}

static void print_results(const struct check *c, uint64_t fill_ns,
			  uint64_t read_ns, uint64_t touches,
			  uint64_t random_ns)
{
	struct swap_counters swapped = swapped_since_start(c);
	uint64_t run_ns = now_ns() - c->start_ns;

	printf("pages=%" PRIu64 "\n", c->pages);
	print_rate("fill_pages_per_s", c->pages, fill_ns);
	print_rate("read_pages_per_s", c->pages * c->opt.passes, read_ns);
	printf("random_touches=%" PRIu64 "\n", touches);
	print_rate("random_touches_per_s", touches, random_ns);
	print_latency("random_touch", &c->touches);
	printf("faults=%" PRIu64 "\n", c->faults.count);
	print_latency("fault", &c->faults);
	printf("verified_pages=%" PRIu64 "\nmismatches=0\n", c->verified_pages);
	printf("pswpout=%" PRIu64 "\n", swapped.out_pages);
	printf("pswpin=%" PRIu64 "\n", swapped.in_pages);
	print_rate("swapin_pages_per_s", swapped.in_pages, run_ns);
	printf("seconds=%.1f\n", (double)run_ns / (double)NS_PER_S);
}

static void run(struct check *c)
{
	uint64_t fill_ns, read_ns = 0, touches, random_ns;

	c->pages = c->opt.size_bytes / PAGE_BYTES;
	allocate(c);
	if (c->opt.zipf > 0)
		zipf_prepare(&c->zipf, c->opt.zipf, c->pages);
	c->at_start = read_swap_counters();
	c->start_ns = now_ns();
	c->next_progress_ns = c->start_ns + NS_PER_S;
	fill_ns = fill(c);
	for (uint64_t pass = 0; pass < c->opt.passes; pass++)
		read_ns += read_in_order(c, "read page");
	touches = touch_at_random(c, &random_ns);
	read_in_order(c, "final check, page");
	print_results(c, fill_ns, read_ns, touches, random_ns);
}

static uint64_t parse_number(const char *option, const char *text, uint64_t min,
			     uint64_t max, char **end)
{
	uint64_t value;

	errno = 0;
	value = strtoull(text, end, 10);
	if (errno || *end == text || *text == '-' || value < min || value > max)
		die("--%s: not a value in its range", option);
	return value;
}

static uint64_t parse_count(const char *option, const char *text, uint64_t min,
			    uint64_t max)
{
	char *end;
	uint64_t value = parse_number(option, text, min, max, &end);

	if (*end)
		die("--%s: not a number", option);
	return value;
}

static double parse_zipf(const char *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value > 0 && value < 1))
		die("--%s: allowed is a number above 0 and below 1", option);
	return value;
}

static uint64_t parse_size(const char *option, const char *text)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift;
	char *end;
	uint64_t value = parse_number(option, text, 1, UINT64_MAX, &end);

	if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			die("--%s: a number and K, M, G or T", option);
		shift = 10 * (unsigned int)(unit - units + 1);
		if (value > UINT64_MAX >> shift)
			die("--%s: too much", option);
		value <<= shift;
	}
	if (value < PAGE_BYTES)
		die("--%s: less than a page", option);
	return value;
}

static void usage(FILE *out)
{
	fputs("usage: pagecheck --size=SIZE [OPTIONS]\n"
	      "\n"
	      "Fills memory with pages of known content, reads them in order\n"
	      "and at random, and checks every byte.\n"
	      "\n"
	      "  --size=SIZE         memory to use (K, M, G)\n"
	      "  --random=N          touch N pages at random\n"
	      "  --seconds=S         touch pages at random for S seconds\n"
	      "                      (with --random: whichever ends first)\n"
	      "  --passes=N          reads of all pages in order (default 1)\n"
	      "  --write-percent=P   random touches that rewrite their page\n"
	      "                      (default 20)\n"
	      "  --zipf=S            random touches follow Zipf's law with "
	      "this\n"
	      "                      exponent, above 0 and below 1\n"
	      "  --period=BYTES      each page repeats its first BYTES, so "
	      "that\n"
	      "                      it compresses to about as many (default\n"
	      "                      4096: it does not compress)\n"
	      "  --seed=N            (default 1)\n"
	      "  --progress          a line a second on stderr\n"
	      "  --help\n"
	      "\n"
	      "Exit status: 0, 1 where a page is wrong, 2 where the check\n"
	      "could not run.\n",
	      out);
}

static void set_option(struct options *opt, int key, const char *name)
{
	switch (key) {
	case 's':
		opt->size_bytes = parse_size(name, optarg);
		break;
	case 'r':
		opt->random_touches = parse_count(name, optarg, 0, UINT32_MAX);
		break;
	case 't':
		opt->random_ns =
			parse_count(name, optarg, 0, 1000000) * NS_PER_S;
		break;
	case 'p':
		opt->passes = parse_count(name, optarg, 0, UINT32_MAX);
		break;
	case 'w':
		opt->write_percent = parse_count(name, optarg, 0, 100);
		break;
	case 'z':
		opt->zipf = parse_zipf(name, optarg);
		break;
	case 'b':
		opt->period_words =
			parse_count(name, optarg, 8, PAGE_BYTES) / 8;
		break;
	case 'e':
		opt->seed = parse_count(name, optarg, 0, UINT64_MAX);
		break;
	case 'P':
		opt->progress = true;
		break;
	case 'h':
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

static void parse_options(struct options *opt, int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 's' },
		{ "random", required_argument, NULL, 'r' },
		{ "seconds", required_argument, NULL, 't' },
		{ "passes", required_argument, NULL, 'p' },
		{ "write-percent", required_argument, NULL, 'w' },
		{ "zipf", required_argument, NULL, 'z' },
		{ "period", required_argument, NULL, 'b' },
		{ "seed", required_argument, NULL, 'e' },
		{ "progress", no_argument, NULL, 'P' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int key, index = 0;

	while ((key = getopt_long(argc, argv, "", options, &index)) != -1)
		set_option(opt, key, options[index].name);
	if (optind < argc)
		die("%s: no arguments are taken", argv[optind]);
	if (!opt->size_bytes)
		die("%s is missing", "--size");
}

int main(int argc, char **argv)
{
	static struct check check = {
		.opt = { .passes = 1,
			 .write_percent = 20,
			 .period_words = PAGE_WORDS,
			 .seed = 1 },
	};

	parse_options(&check.opt, argc, argv);
	signal(SIGTERM, end);
	run(&check);
	return 0;
}
