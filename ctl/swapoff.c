#include "swapoff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "run.h"
#include "warning.h"
#include "words.h"

#define MIB (1024 * 1024)
/* What the machine keeps for itself of the memory that is available: this part,
 * and at most so much.  Between two looks swapoff takes some of it. */
#define KEPT_PART	32
#define KEPT_MOST_BYTES (UINT64_C(512) * MIB)

/* --- is there a place for what comes back? --- */

struct place {
	uint64_t memory_bytes, other_bytes, kept_bytes;
};

static struct place find_place(const struct swap_usage *swap)
{
	uint64_t kept_bytes = meminfo_bytes("MemTotal") / KEPT_PART;

	return (struct place){
		.memory_bytes = meminfo_bytes("MemAvailable"),
		.other_bytes = swap->other_free_bytes,
		.kept_bytes = kept_bytes < KEPT_MOST_BYTES ? kept_bytes
							   : KEPT_MOST_BYTES,
	};
}

/* What may still be filled. */
static uint64_t bytes_of(const struct place *place)
{
	uint64_t all_bytes = place->memory_bytes + place->other_bytes;

	return all_bytes > place->kept_bytes ? all_bytes - place->kept_bytes
					     : 0;
}

struct place_text {
	char text[128];
};

static struct place_text tell_place(const struct place *place)
{
	struct place_text t;

	snprintf(t.text, sizeof t.text,
		 "%" PRIu64 " MiB for it (memory %" PRIu64
		 ", other swap %" PRIu64 ", of which %" PRIu64
		 " stay for the machine)",
		 bytes_of(place) / MIB, place->memory_bytes / MIB,
		 place->other_bytes / MIB, place->kept_bytes / MIB);
	return t;
}

bool swapoff_fits(const char *device, const struct swap_usage *swap,
		  struct error *why)
{
	struct place place = find_place(swap);

	if (swap->used_bytes <= bytes_of(&place))
		return true;
	error_set(why, "%s holds %" PRIu64 " MiB, and there are %s", device,
		  swap->used_bytes / MIB, tell_place(&place).text);
	return false;
}

/* --- looking --- */

struct progress {
	const struct swapoff_order *order;
	uint64_t begun_ns;
	uint64_t all_bytes, left_bytes;
	unsigned told_tenths;
	bool terminal;
	bool drawn; /* a line that is not ended */
};

static void show(struct progress *p)
{
	uint64_t back_bytes = p->all_bytes - p->left_bytes;
	uint64_t took_ns = clock_now_ns() - p->begun_ns;

	if (p->terminal)
		fputs("\r\033[K", stdout);
	printf("  %s of %s are back (%" PRIu64 " %%)",
	       words_bytes(back_bytes).text, words_bytes(p->all_bytes).text,
	       100 * back_bytes / p->all_bytes);
	if (back_bytes)
		printf(", %s left",
		       words_span((uint64_t)((double)took_ns *
					     (double)p->left_bytes /
					     (double)back_bytes / 1e9) +
				  1)
			       .text);
	if (!p->terminal)
		putchar('\n');
	p->drawn = p->terminal;
	fflush(stdout);
}

static void end_line(struct progress *p)
{
	if (p->drawn)
		putchar('\n');
	p->drawn = false;
}

/* What is left becomes more only until swapoff has begun: from then on the
 * kernel swaps nothing out to the device. */
static void note_left(struct progress *p, uint64_t left_bytes)
{
	p->left_bytes = left_bytes;
	if (p->all_bytes < left_bytes)
		p->all_bytes = left_bytes;
}

static void show_tenth(struct progress *p)
{
	unsigned tenths =
		(unsigned)(10 * (p->all_bytes - p->left_bytes) / p->all_bytes);

	if (p->left_bytes && (p->terminal || tenths > p->told_tenths))
		show(p);
	if (tenths > p->told_tenths)
		p->told_tenths = tenths;
}

static bool look(void *about, struct error *why)
{
	struct progress *p = about;
	struct swap_usage swap;
	struct place place;

	if (!swapinfo_read(p->order->device, &swap) || !swap.active)
		return true;
	note_left(p, swap.used_bytes);
	if (!p->all_bytes)
		return true;
	show_tenth(p);
	place = find_place(&swap);
	if (p->order->lost || !p->left_bytes || bytes_of(&place))
		return true;
	error_set(why,
		  "swapoff is stopped and swap stays on: %" PRIu64
		  " MiB of %s are still to come back, and there are %s; free "
		  "memory, and detach again",
		  p->left_bytes / MIB, p->order->device,
		  tell_place(&place).text);
	return false;
}

/* --- swapoff --- */

/* Whether swapoff, which failed with the error WHY, is to be run again.
 *
 * At shutdown systemd runs swapoff as well.  The kernel lets one of the two
 * work, and tells the other that there is no such swap device.  The other one
 * waits until swap is off, or tries again if the first one gave up.
 *
 * swapoff of a dead device charges each page to the page's control group,
 * although the page cannot be read.  If the group is full, the kernel ends a
 * process of the group, and swapoff fails.  The next swapoff gets further. */
static bool runs_again(const struct error *why, const struct swap_usage *was,
		       const struct swap_usage *now, bool lost)
{
	if (strstr(why->text, "Invalid argument"))
		return true;
	return lost && strstr(why->text, "Cannot allocate memory") &&
	       now->used_bytes < was->used_bytes;
}

/* Again and again: see runs_again. */
static int run_all(struct progress *progress, struct error *why)
{
	const struct swapoff_order *order = progress->order;
	const char *const argv[] = { "swapoff", order->device, NULL };
	const struct run_watch watch = { .look = look, .about = progress };
	struct swap_usage was, now;

	swapinfo_read(order->device, &was);
	while (run_must_watched(argv, order->deadline_ns, &watch, why) < 0) {
		if (swapinfo_read(order->device, &now) && !now.active)
			return 0;
		if (!runs_again(why, &was, &now, order->lost) ||
		    run_interrupted() || !clock_left_ns(order->deadline_ns))
			return -1;
		was = now;
		run_pause(200);
	}
	return 0;
}

static int check_fits(const struct swapoff_order *order,
		      const struct swap_usage *swap, struct error *why)
{
	size_t n;

	if (order->lost || swapoff_fits(order->device, swap, why))
		return 0;
	if (order->force) {
		warning_print("%s", why->text);
		return 0;
	}
	n = strlen(why->text);
	snprintf(why->text + n, sizeof why->text - n,
		 "; free memory, or use --force");
	return -1;
}

int swapoff_run(const struct swapoff_order *order, struct error *why)
{
	struct progress progress = { .order = order,
				     .begun_ns = clock_now_ns(),
				     .terminal = isatty(STDOUT_FILENO) };
	struct swap_usage swap;
	int err;

	swapinfo_read(order->device, &swap);
	if (check_fits(order, &swap, why) < 0)
		return -1;
	progress.all_bytes = progress.left_bytes = swap.used_bytes;
	if (!order->lost)
		printf("swapoff %s (%" PRIu64 " MiB to bring back)\n",
		       order->device, swap.used_bytes / MIB);
	err = run_all(&progress, why);
	end_line(&progress);
	if (!err && !order->lost && progress.all_bytes)
		printf("  %s are back, after %s\n",
		       words_bytes(progress.all_bytes).text,
		       words_span((clock_now_ns() - progress.begun_ns) /
				  NS_PER_S)
			       .text);
	return err;
}
