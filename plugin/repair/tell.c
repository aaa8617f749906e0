/* The repairer's log lines, and the figures that it stores for status. */
#include "repair.h"

#include "clock.h"
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
	repair->told_wrong = wrong;
	repair->told_wrong_lost = lost;
	repair->told_wrong_ns = clock_now_ns();
}

void repair_tell(struct engine *engine, const struct repair_sums *sums)
{
	struct repair *repair = engine->repair;

	tell_wrong(engine);
	if (sums->short_slabs && !repair->told_short)
		log_error("degraded: %llu slabs lack a copy, or pages of one; "
			  "repairing",
			  (unsigned long long)sums->short_slabs);
	else if (!sums->short_slabs && repair->told_short)
		log_notice("repaired: all slabs have all their copies");
	repair->told_short = sums->short_slabs > 0;
	if (sums->stuck_slabs && !repair->told_stuck)
		log_error("no server has room for %llu slabs that lack a copy "
			  "or are to be moved; trying again",
			  (unsigned long long)sums->stuck_slabs);
	repair->told_stuck = sums->stuck_slabs > 0;
	atomic_store(&repair->stale_pages, sums->stale_pages);
	atomic_store(&repair->short_slabs, sums->short_slabs);
	atomic_store(&repair->moving_slabs, sums->moving_slabs);
	atomic_store(&repair->stuck_slabs, sums->stuck_slabs);
}
