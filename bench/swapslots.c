/* Writes and trims as the kernel's swap code does on a device that does not
 * rotate (Linux 6.1, mm/swapfile.c), so that what is left of programs that have
 * shrunk shows how much memory a plugin keeps for it:
 *
 *   swapslots URI --fill=MIB --pattern=PATTERN [--keep=PERCENT]
 *             [--cluster=PAGES] [--cpus=N] [--seed=N]
 *
 * swaps out FILL MiB, frees all but KEEP percent (default 10) of it, and tells
 * in one line how many slots are in use.  PATTERN says what is freed:
 *
 *   tail       all that was swapped out last
 *   programs   nine of ten programs that were swapped out at the same time
 *   chunk:MIB  pieces of MIB at random places
 *
 * What the kernel does:
 *  - slots are handed out by clusters of so many pages as a huge page has (512;
 *    256 on a kernel without CONFIG_THP_SWAP), one cluster per processor at a
 *    time;
 *  - clusters are taken from a list in which those that follow each other are
 *    64 MiB apart, as each 64 MiB of a device have locks of their own;
 *  - reclaim takes 32 pages of a program at a time;
 *  - a cluster is trimmed when all of it is free, and a single page never.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libnbd.h>

#define PAGE_BYTES    4096u
#define PAGES_PER_MIB 256u
#define SPACE_PAGES   (1u << 14) /* SWAP_ADDRESS_SPACE_PAGES */
#define RECLAIM_PAGES 32u	 /* SWAP_CLUSTER_MAX */
#define PROGRAMS      10u
#define CPUS_MAX      64u
#define NONE	      UINT32_MAX

static struct {
	uint64_t fill_mib, keep_percent, chunk_mib, seed;
	uint32_t cluster_pages, cpus;
	bool programs;
} opt = { .keep_percent = 10, .cluster_pages = 512, .cpus = 2, .seed = 1 };

/* The swap device. */
static struct {
	struct nbd_handle *nbd;
	uint32_t n_clusters;
	uint32_t *used;	     /* slots, by cluster */
	uint32_t *free_list; /* a ring of n_clusters */
	uint32_t head, n_free;
	uint32_t current[CPUS_MAX], next_slot[CPUS_MAX];
} swap;

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "swapslots: %s: %s\n", what,
		nbd_get_error() ? nbd_get_error() : "");
	exit(1);
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static void *allocate(size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (!p)
		die("out of memory");
	return p;
}

static void add_free(uint32_t cluster)
{
	swap.free_list[(swap.head + swap.n_free++) % swap.n_clusters] = cluster;
}

/* In the order of setup_swap_map_and_extents. */
static void swapon(void)
{
	int64_t bytes = nbd_get_size(swap.nbd);
	uint32_t columns = SPACE_PAGES / opt.cluster_pages;
	uint32_t first = (uint32_t)(mix(opt.seed) % columns);

	if (bytes < 0)
		die("size");
	swap.n_clusters =
		(uint32_t)((uint64_t)bytes / PAGE_BYTES / opt.cluster_pages);
	swap.used = allocate(swap.n_clusters, sizeof *swap.used);
	swap.free_list = allocate(swap.n_clusters, sizeof *swap.free_list);
	for (uint32_t k = 0; k < columns; k++) {
		for (uint32_t c = (k + first) % columns; c < swap.n_clusters;
		     c += columns)
			add_free(c);
	}
	for (uint32_t cpu = 0; cpu < opt.cpus; cpu++)
		swap.current[cpu] = NONE;
}

static uint64_t take_slot(uint32_t cpu)
{
	uint32_t cluster = swap.current[cpu];

	if (cluster == NONE) {
		if (swap.n_free == 0) {
			fprintf(stderr, "swapslots: no cluster is free: the "
					"device is too small\n");
			exit(1);
		}
		cluster = swap.free_list[swap.head];
		swap.head = (swap.head + 1) % swap.n_clusters;
		swap.n_free--;
		swap.current[cpu] = cluster;
		swap.next_slot[cpu] = 0;
	}
	swap.used[cluster]++;
	if (swap.next_slot[cpu] + 1 == opt.cluster_pages)
		swap.current[cpu] = NONE;
	return (uint64_t)cluster * opt.cluster_pages + swap.next_slot[cpu]++;
}

static bool is_current(uint32_t cluster)
{
	for (uint32_t cpu = 0; cpu < opt.cpus; cpu++) {
		if (swap.current[cpu] == cluster)
			return true;
	}
	return false;
}

static void free_slot(uint64_t slot)
{
	uint32_t cluster = (uint32_t)(slot / opt.cluster_pages);
	uint64_t bytes = (uint64_t)opt.cluster_pages * PAGE_BYTES;

	if (--swap.used[cluster] || is_current(cluster))
		return;
	if (nbd_trim(swap.nbd, bytes, cluster * bytes, 0))
		die("trim");
	add_free(cluster);
}

/* Writes N pages, which no codec and no run of zeros makes smaller. */
static void write_slots(const uint64_t *slots, uint32_t n)
{
	static uint64_t buf[RECLAIM_PAGES * PAGE_BYTES / 8];

	for (uint32_t i = 0, run; i < n; i += run) {
		for (run = 1; i + run < n && slots[i + run] == slots[i] + run;)
			run++;
		for (size_t w = 0; w < run * PAGE_BYTES / 8; w++)
			buf[w] = mix(slots[i] * 512 + w) | 1;
		if (nbd_pwrite(swap.nbd, buf, (size_t)run * PAGE_BYTES,
			       slots[i] * PAGE_BYTES, 0))
			die("write");
	}
}

/* The slots of all pages, in the order in which they were swapped out. */
static uint64_t *swap_out(uint64_t pages)
{
	uint64_t *slots = allocate(pages, sizeof *slots);

	for (uint64_t at = 0; at < pages; at += RECLAIM_PAGES) {
		uint32_t n = pages - at < RECLAIM_PAGES ? (uint32_t)(pages - at)
							: RECLAIM_PAGES;
		uint32_t cpu = (uint32_t)(at / RECLAIM_PAGES % opt.cpus);

		for (uint32_t i = 0; i < n; i++)
			slots[at + i] = take_slot(cpu);
		write_slots(slots + at, n);
	}
	return slots;
}

static bool is_kept(uint64_t at, uint64_t pages)
{
	/* programs are swapped out by turns */
	if (opt.programs)
		return at / RECLAIM_PAGES % PROGRAMS * 100 <
		       opt.keep_percent * PROGRAMS;
	if (opt.chunk_mib)
		return mix(at / (opt.chunk_mib * PAGES_PER_MIB) + opt.seed) %
			       100 <
		       opt.keep_percent;
	return at * 100 < pages * opt.keep_percent;
}

static void set_pattern(const char *pattern)
{
	opt.programs = !strcmp(pattern, "programs");
	if (!strncmp(pattern, "chunk:", 6))
		opt.chunk_mib = strtoull(pattern + 6, NULL, 10);
	if (!opt.programs && !opt.chunk_mib && strcmp(pattern, "tail")) {
		fprintf(stderr,
			"swapslots: --pattern=%s: must be tail, "
			"programs or chunk:MIB\n",
			pattern);
		exit(2);
	}
}

static void parse(int argc, char **argv)
{
	static const struct option known[] = {
		{ "fill", required_argument, NULL, 'f' },
		{ "pattern", required_argument, NULL, 'p' },
		{ "keep", required_argument, NULL, 'k' },
		{ "cluster", required_argument, NULL, 'c' },
		{ "cpus", required_argument, NULL, 'n' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int got;

	while ((got = getopt_long(argc, argv, "", known, NULL)) != -1) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;

		switch (got) {
		case 'f':
			opt.fill_mib = n;
			break;
		case 'p':
			set_pattern(optarg);
			break;
		case 'k':
			opt.keep_percent = n;
			break;
		case 'c':
			opt.cluster_pages = (uint32_t)n;
			break;
		case 'n':
			opt.cpus = (uint32_t)n;
			break;
		case 's':
			opt.seed = n;
			break;
		default:
			exit(2);
		}
	}
	if (optind + 1 != argc || !opt.fill_mib || !opt.cluster_pages ||
	    !opt.cpus || opt.cpus > CPUS_MAX) {
		fprintf(stderr, "usage: swapslots --fill=MIB "
				"--pattern=tail|programs|chunk:MIB "
				"[--keep=PERCENT] [--cluster=PAGES] "
				"[--cpus=N] [--seed=N] URI\n");
		exit(2);
	}
}

int main(int argc, char **argv)
{
	uint64_t pages, used = 0, *slots;

	parse(argc, argv);
	swap.nbd = nbd_create();
	if (!swap.nbd || nbd_connect_uri(swap.nbd, argv[optind]))
		die("connect");
	swapon();
	pages = opt.fill_mib * PAGES_PER_MIB;
	slots = swap_out(pages);
	for (uint64_t at = 0; at < pages; at++) {
		if (is_kept(at, pages))
			used++;
		else
			free_slot(slots[at]);
	}
	printf("used_pages %" PRIu64 "\n", used);
	free(slots);
	free(swap.used);
	free(swap.free_list);
	nbd_close(swap.nbd);
	return 0;
}
