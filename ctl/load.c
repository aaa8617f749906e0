#include "load.h"

#include <libnbd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "run.h"

/* How often a wait looks whether a signal came. */
#define LOOK_MS 100

/* --- times --- */

int load_times_create(struct load_times *times)
{
	*times = (struct load_times){ .ns = calloc(LOAD_TIMES_MAX,
						   sizeof *times->ns) };
	return times->ns ? 0 : -1;
}

void load_times_add(struct load_times *times, uint64_t ns)
{
	uint32_t one = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;

	times->all++;
	if (times->kept < LOAD_TIMES_MAX) {
		times->ns[times->kept++] = one;
		return;
	}
	/* each of all has the same chance to be kept */
	uint64_t at =
		((uint64_t)random() << 31 | (uint64_t)random()) % times->all;

	if (at < LOAD_TIMES_MAX)
		times->ns[at] = one;
}

void load_times_free(struct load_times *times)
{
	free(times->ns);
	*times = (struct load_times){ 0 };
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void load_times_sort(struct load_times *times)
{
	qsort(times->ns, times->kept, sizeof *times->ns, compare);
}

double load_times_us(const struct load_times *times, unsigned per_mille)
{
	/* the rank, from 1 on, rounded up */
	size_t rank = (times->kept * per_mille + 999) / 1000;

	if (!times->kept)
		return 0;
	return times->ns[rank ? rank - 1 : 0] / 1e3;
}

/* --- requests --- */

struct runner;

/* A request in flight, or none. */
struct slot {
	struct runner *runner;
	char *page;
	uint64_t begun_ns;
	bool busy;
};

struct runner {
	struct nbd_handle *nbd;
	const struct load *load;
	struct load_times *times;
	struct slot slots[LOAD_DEPTH_MAX];
	unsigned in_flight;
	int error; /* errno of the first request that failed */
};

/* Called by libnbd, in nbd_poll or where a request is sent. */
static int ended(void *about, int *error)
{
	struct slot *slot = about;
	struct runner *r = slot->runner;

	if (*error && !r->error)
		r->error = *error;
	else if (!*error)
		load_times_add(r->times, clock_now_ns() - slot->begun_ns);
	slot->busy = false;
	r->in_flight--;
	return 1; /* the request is retired */
}

static bool send_one(struct runner *r, struct slot *slot)
{
	nbd_completion_callback done = { .callback = ended, .user_data = slot };
	uint64_t pages = r->load->size_bytes / LOAD_PAGE_BYTES;
	uint64_t offset = (uint64_t)random() % pages * LOAD_PAGE_BYTES;

	slot->busy = true;
	slot->begun_ns = clock_now_ns();
	r->in_flight++;
	if ((r->load->op == LOAD_READ
		     ? nbd_aio_pread(r->nbd, slot->page, LOAD_PAGE_BYTES,
				     offset, done, 0)
		     : nbd_aio_pwrite(r->nbd, slot->page, LOAD_PAGE_BYTES,
				      offset, done, 0)) >= 0)
		return true;
	slot->busy = false;
	r->in_flight--;
	return false;
}

static bool fill_up(struct runner *r)
{
	for (unsigned i = 0; i < r->load->depth; i++) {
		if (!r->slots[i].busy && !send_one(r, &r->slots[i]))
			return false;
	}
	return true;
}

/* 0, or -1 with WHY. */
static int drive(struct runner *r, uint64_t end_ns, struct error *why)
{
	for (;;) {
		bool over = !clock_left_ns(end_ns);

		if (run_interrupted()) {
			error_set(why, "interrupted");
			return -1;
		}
		if (r->error) {
			error_set(why, "a %s failed: %s",
				  r->load->op == LOAD_READ ? "read" : "write",
				  strerror(r->error));
			return -1;
		}
		if (over && !r->in_flight)
			return 0;
		if ((!over && !fill_up(r)) ||
		    (r->in_flight && nbd_poll(r->nbd, LOOK_MS) < 0 &&
		     !run_interrupted())) {
			error_set(why, "%s", nbd_get_error());
			return -1;
		}
	}
}

int load_run(struct nbd_handle *nbd, const struct load *load,
	     struct load_result *result, struct error *why)
{
	/* libnbd may still come to it where the connection ends after an error
	 */
	static struct runner r;
	char *pages = aligned_alloc(LOAD_PAGE_BYTES,
				    (size_t)load->depth * LOAD_PAGE_BYTES);
	uint64_t begun_ns = clock_now_ns();
	int err;

	*result = (struct load_result){ 0 };
	if (!pages || load_times_create(&result->times) < 0) {
		error_set(why, "out of memory");
		free(pages);
		return -1;
	}
	/* zeros would not be sent */
	memset(pages, 0x5a, (size_t)load->depth * LOAD_PAGE_BYTES);
	r = (struct runner){ .nbd = nbd,
			     .load = load,
			     .times = &result->times };
	for (unsigned i = 0; i < load->depth; i++)
		r.slots[i] =
			(struct slot){ .runner = &r,
				       .page = pages + i * LOAD_PAGE_BYTES };
	err = drive(&r, begun_ns + load->ns, why);
	result->took_ns = clock_now_ns() - begun_ns;
	load_times_sort(&result->times);
	/* and to the pages of what is in flight */
	if (!r.in_flight)
		free(pages);
	return err;
}
