/* Swap safety: what keeps a machine alive whose memory comes through this
 * process.  The page that it serves may be the one that the kernel waits for in
 * order to free memory; so nothing here may wait for the kernel to free memory.
 *
 *   io_flusher  prctl(PR_SET_IO_FLUSHER): allocations in the kernel for this
 *               thread do not start I/O, which would wait for this thread
 *   realtime    SCHED_RR: the page allocator lets real-time tasks below the
 *               watermark, and nothing ordinary runs before them; under load
 *               on half of the processors, so that what feeds them runs beside
 *               them, and writes behind reads
 *   locked      everything that the I/O path touches is in memory and locked
 *   (parent)    the end of the parent process ends this one no more
 *   oom         oom_score_adj -1000: never the OOM killer's victim
 *
 * All are properties of the thread that applies them, of the threads it makes
 * later, or of the process: so this is called before the first of them.
 */
#ifndef RSWAP_SAFETY_H
#define RSWAP_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum safety_setting {
	SAFETY_IO_FLUSHER,
	SAFETY_REALTIME,
	SAFETY_LOCKED,
	SAFETY_OOM,
	SAFETY_SETTINGS
};

/* Whether each setting holds; why is empty where it does. */
struct safety {
	struct {
		bool holds;
		struct error why;
	} setting[SAFETY_SETTINGS];
};

const char *safety_name(enum safety_setting setting);
/* What is at stake where it is refused, and what grants it. */
const char *safety_remedy(enum safety_setting setting);

/* As early as possible, before nbdkit makes a thread: threads get small stacks,
 * and the allocator one arena that keeps what it has. */
void safety_prepare(void);

/* Applies everything, before the engine allocates and before any thread is
 * made.  HEAP_BYTES: what the heap keeps ready, populated, for
 * the buffers of requests.  Never fails; SAFETY tells. */
void safety_apply(struct safety *safety, uint64_t heap_bytes);

/* Around each read and write, by the thread that serves it: what decides where
 * and at which priority real-time threads run. */
void safety_request_begin(bool write);
void safety_request_end(void);
/* From now on real-time threads leave half of the processors to everything
 * else, however few requests are in flight. */
void safety_stay_apart(void);

/* VmLck of this process. */
uint64_t safety_locked_bytes(void);

#endif
