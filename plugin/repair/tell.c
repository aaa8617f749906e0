/* The repairer's log lines, and the figures that it stores for status. */
#include "repair.h"

#include "clock.h"
#include "events.h"
#include "servers/core.h"
#include "log.h"

/* Wrong bytes may come as fast as pages are read. */
#define TELL_WRONG_NS (10 * NS_PER_S)

/* Logs new wrong bytes, at most one line in TELL_WRONG_NS. */
static void tell_wrong(struct engine *engine)
{
	struct repair *repair = engine->repair;
	uint64_t wrong = atomic_load(&engine->counters.wrong_reads);
	uint64_t lost = atomic_load(&engine->counters.wrong_lost);

	if ((wrong == repair->told_wrong && lost == repair->told_wrong_lost) ||
	    (repair->told_wrong_ns &&
	     clock_left_ns(repair->told_wrong_ns + TELL_WRONG_NS) > 0))
		return;
	if (lost > repair->told_wrong_lost)
		log_error("%llu reads got wrong bytes from a server (a "
			  "checksum told), %llu of them new; %llu pages are "
			  "right nowhere any more and lost, %llu of them new: "
			  "reading these ends with an I/O error",
			  (unsigned long long)wrong,
			  (unsigned long long)(wrong - repair->told_wrong),
			  (unsigned long long)lost,
			  (unsigned long long)(lost - repair->told_wrong_lost));
	else
		log_error("%llu reads got wrong bytes from a server (a "
			  "checksum told), %llu of them new",
			  (unsigned long long)wrong,
			  (unsigned long long)(wrong - repair->told_wrong));
	events_add(EVENT_WRONG_BYTES, "", "%llu reads got wrong bytes so far",
		   (unsigned long long)wrong);
	repair->told_wrong = wrong;
	repair->told_wrong_lost = lost;
	repair->told_wrong_ns = clock_now_ns();
}

/* Pages that were lost since the last pass, whoever lost them. */
static void note_lost_pages(struct engine *engine)
{
	struct repair *repair = engine->repair;
	uint64_t lost = atomic_load(&engine->counters.pages_lost);

	if (lost != repair->noted_lost)
		events_add(EVENT_PAGES_LOST, "",
			   "%llu pages were lost, of %llu in all",
			   (unsigned long long)(lost - repair->noted_lost),
			   (unsigned long long)lost);
	repair->noted_lost = lost;
}

void repair_measure(struct repair *repair)
{
	uint64_t now_ns = clock_now_ns(), ns = now_ns - repair->measured_ns;
	uint64_t copied = atomic_load(&repair->copied_pages);
	uint64_t rate, before = atomic_load(&repair->pages_per_s);

	if (!atomic_load(&repair->since_ns) || ns < NS_PER_S)
		return;
	rate = (copied - repair->measured_copied) * NS_PER_S / ns;
	atomic_store(&repair->pages_per_s,
		     before ? (3 * before + rate) / 4 : rate);
	repair->measured_ns = now_ns;
	repair->measured_copied = copied;
}

static void tell_progress(struct repair *repair, uint64_t left_pages)
{
	bool running = atomic_load(&repair->since_ns) != 0;
	uint64_t copied = atomic_load(&repair->copied_pages);

	atomic_store(&repair->left_copied, copied);
	atomic_store(&repair->left_pages, left_pages);
	if (left_pages && !running) {
		atomic_store(&repair->since_copied, copied);
		atomic_store(&repair->pages_per_s, 0);
		repair->measured_copied = copied;
		repair->measured_ns = clock_now_ns();
		atomic_store(&repair->since_ns, repair->measured_ns);
		events_add(EVENT_REPAIR_BEGUN, "", "%llu pages to copy",
			   (unsigned long long)left_pages);
	} else if (left_pages) {
		repair_measure(repair);
	} else if (running) {
		atomic_store(&repair->since_ns, 0);
		events_add(
			EVENT_REPAIR_DONE, "", "%llu pages were copied",
			(unsigned long long)(copied -
					     atomic_load(
						     &repair->since_copied)));
	}
}

uint64_t repair_left_pages(const struct repair *repair)
{
	uint64_t left = atomic_load(&repair->left_pages);
	uint64_t since = atomic_load(&repair->copied_pages) -
			 atomic_load(&repair->left_copied);

	return left > since ? left - since : 0;
}

void repair_tell(struct engine *engine, const struct repair_sums *sums)
{
	struct repair *repair = engine->repair;

	tell_wrong(engine);
	note_lost_pages(engine);
	if (sums->short_slabs && !repair->told_short)
		log_error("degraded: %llu slabs lack a copy, or pages of one; "
			  "repairing",
			  (unsigned long long)sums->short_slabs);
	else if (!sums->short_slabs && repair->told_short)
		log_notice("repaired: all slabs have all their copies");
	repair->told_short = sums->short_slabs > 0;
	tell_progress(repair, sums->left_pages);
	if (sums->stuck_slabs && !repair->told_stuck) {
		events_add(EVENT_NO_ROOM, "",
			   "no server has room for %llu slabs",
			   (unsigned long long)sums->stuck_slabs);
		log_error("no server has room for %llu slabs that lack a copy "
			  "or are to be moved; trying again",
			  (unsigned long long)sums->stuck_slabs);
	}
	repair->told_stuck = sums->stuck_slabs > 0;
	atomic_store(&repair->stale_pages, sums->stale_pages);
	atomic_store(&repair->short_slabs, sums->short_slabs);
	atomic_store(&repair->moving_slabs, sums->moving_slabs);
	atomic_store(&repair->stuck_slabs, sums->stuck_slabs);
}
