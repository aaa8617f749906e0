/* Swap safety: settings that keep a machine alive that swaps through this
 * process.  The kernel may need a request to be served before it can free any
 * memory.  So this process must never wait for the kernel to free memory.
 *
 *   io_flusher  prctl(PR_SET_IO_FLUSHER): allocations in the kernel for this
 *               thread do not start I/O, which would wait for this thread
 *   realtime    SCHED_RR: the page allocator lets real-time tasks below the
 *               watermark, and no ordinary thread delays them.  Under load they
 *               leave half of the processors to the threads that send them
 *               work, and threads that serve writes have a lower priority
 *   locked      everything that the I/O path touches is in memory and locked
 *   oom         oom_score_adj -1000: the OOM killer spares this process
 *   (parent)    the end of the parent process does not end this process
 *
 * Some settings are the thread's, and threads inherit them from the thread that
 * starts them.  So safety_apply runs before any thread that serves requests is
 * started.  The thread that writes the log is started before, and stays an
 * ordinary thread.
 */
#ifndef RSWAP_SAFETY_H
#define RSWAP_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* Of SCHED_RR: above all ordinary threads, and below the priorities that
 * administrators give to hard real-time work.  The same as `chrt -r 10`. */
#define SAFETY_PRIORITY 10

enum safety_setting {
	SAFETY_IO_FLUSHER,
	SAFETY_REALTIME,
	SAFETY_LOCKED,
	SAFETY_OOM,
	SAFETY_SETTINGS
};

/* Whether each setting holds.  If it does, why is empty. */
struct safety {
	struct {
		bool holds;
		struct error why;
	} setting[SAFETY_SETTINGS];
	bool confined; /* by confine_files */
};

const char *safety_name(enum safety_setting setting);
/* The danger if the setting is refused, and the privilege that grants it. */
const char *safety_remedy(enum safety_setting setting);

/* Allows no core dump.  Sets small stacks for later threads, and one arena that
 * never shrinks for the allocator.  As early as possible, before nbdkit starts
 * a thread. */
void safety_prepare(void);

/* Applies all settings, and fills SAFETY.  Before the engine allocates, and
 * before any thread but the log's is started.  HEAP_BYTES of the heap are
 * populated for the buffers of requests and for TLS handshakes. */
void safety_apply(struct safety *safety, uint64_t heap_bytes);

/* Has so much of the heap populated and free, in one piece, and leaves all of
 * it out of dumps.  0 or an errno. */
int safety_grow_heap(uint64_t bytes);

/* From now on the kernel makes no more huge pages for this process, and leaves
 * those that there are.  khugepaged, which has the lowest priority of all,
 * copies pages while whoever touches them waits for it. */
void safety_keep_huge_pages(void);

/* The thread that serves a read or a write calls these before and after it.
 * They decide on which processors the thread runs. */
void safety_request_begin(void);
void safety_request_end(void);
/* A thread that serves many requests calls this in each turn, with the number
 * of its own requests in flight.  Those of all such threads decide on which
 * processors the threads run.  A thread that has no request says so. */
void safety_turn(uint32_t in_flight);
/* From now on threads that serve requests leave half of the processors to other
 * threads, however few requests are in flight. */
void safety_stay_apart(void);

/* VmLck of this process. */
uint64_t safety_locked_bytes(void);

#endif
