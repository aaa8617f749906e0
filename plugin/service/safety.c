#include "safety.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "oomscore.h"

/* In linux/prctl.h since Linux 5.6. */
#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* The whole stack of a thread is locked, and each request in flight has a
 * thread.  nbdkit's threads use some 16 KiB, most of that a struct io, and
 * twice as much if a page came out wrong.  The plugin's session threads use
 * less than 20 KiB, with the resolver and rdma_cm.  ThreadSanitizer needs more.
 */
#ifdef __SANITIZE_THREAD__
#define STACK_BYTES (2u << 20)
#else
#define STACK_BYTES (128u << 10)
#endif

/* Of a larger anonymous mapping only the pages that were touched are locked.
 * nbdkit's .bss has 192 MB of buffers that no request to this plugin uses, and
 * a few variables that every request reads.  The large mappings of the engine
 * are made later, and are locked when they are made. */
#define ANONYMOUS_MAX_BYTES (8u << 20)

static const struct {
	const char *name, *remedy;
} settings[SAFETY_SETTINGS] = {
	[SAFETY_IO_FLUSHER] = { "io_flusher",
				"reclaim may wait for itself; run as root with "
				"CAP_SYS_RESOURCE on Linux 5.6 or later" },
	[SAFETY_REALTIME] = { "realtime",
			      "the machine may hang when memory runs out; run "
			      "with CAP_SYS_NICE or RLIMIT_RTPRIO 10" },
	[SAFETY_LOCKED] = { "locked",
			    "this process may be swapped out to itself; run "
			    "with CAP_IPC_LOCK or a higher RLIMIT_MEMLOCK" },
	[SAFETY_OOM] = { "oom",
			 "the OOM killer may choose this process, and every "
			 "page goes with it; run with CAP_SYS_RESOURCE" },
};

const char *safety_name(enum safety_setting setting)
{
	return settings[setting].name;
}

const char *safety_remedy(enum safety_setting setting)
{
	return settings[setting].remedy;
}

void safety_prepare(void)
{
	const struct rlimit no_core = { 0, 0 };
	pthread_attr_t attr;

	/* A core would have the key of sealed pages, and pages. */
	setrlimit(RLIMIT_CORE, &no_core);
	/* One arena, which grows by brk and never shrinks.  So all later
	 * allocations come from the memory that safety_apply populates. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, -1);
	if (!pthread_attr_init(&attr)) {
		if (!pthread_attr_setstacksize(&attr, STACK_BYTES))
			pthread_setattr_default_np(&attr);
		pthread_attr_destroy(&attr);
	}
}

static void record(struct safety *safety, enum safety_setting setting,
		   const char *call, int error)
{
	safety->setting[setting].holds = error == 0;
	if (error)
		error_set(&safety->setting[setting].why, "%s: %s", call,
			  strerror(error));
}

/* --- processors --- */

/* A real-time thread preempts the thread that wakes it: the client after each
 * request that it sends, and soft-RoCE or a local memory server after each
 * answer.  So with a crowd of requests in flight, the threads that serve them
 * leave the lower half of the processors to all other threads, where there are
 * at least two processors.  Then many requests are handed over at a time.  With
 * few requests there is nothing to hand over together, and a thread that runs
 * where it is woken spares the wake-up of an idle processor.
 * docs/performance.md has the figures of both.
 *
 * All threads have the same priority, also those that serve writes.  A library
 * may have locks that spin: of mlx5's doorbells many queue pairs share each
 * (ibv_alloc_td(3)), and ThreadSanitizer has such locks.  A thread that spins
 * keeps its processor from a thread of a lower priority that has the lock, for
 * ever where both may run on no other one.  A thread of the same priority gets
 * its turn (SCHED_RR, sched(7)).
 *
 * Each thread moves itself, at its next request. */

/* Requests in flight that make a crowd.  The crowd is over after CALM_FOR
 * requests that found at most CALM in flight, with no crowd in between. */
#define CROWD	 4
#define CALM	 2
#define CALM_FOR 256

static struct {
	cpu_set_t all, half;
	bool may_move;
	_Atomic bool apart; /* also without a crowd */

	_Atomic uint32_t in_flight;
	_Atomic uint32_t calm; /* requests since the last crowd */
	_Atomic bool crowded;
} processors;

/* Whether this thread is on half of the processors.  initial-exec places the
 * variable in the thread's static TLS block.  The plugin's own block would be
 * allocated at the first use, on the I/O path. */
static _Thread_local bool confined __attribute__((tls_model("initial-exec")));

/* The requests of this thread that processors.in_flight has, where it serves
 * many. */
static _Thread_local uint32_t in_flight_here
	__attribute__((tls_model("initial-exec")));

static void find_processors(void)
{
	int leave;

	if (sched_getaffinity(0, sizeof processors.all, &processors.all))
		return;
	leave = CPU_COUNT(&processors.all) / 2;
	processors.half = processors.all;
	processors.may_move = leave > 0;
	for (int cpu = 0; leave > 0; cpu++) {
		if (CPU_ISSET(cpu, &processors.half)) {
			CPU_CLR(cpu, &processors.half);
			leave--;
		}
	}
}

/* Whether there is a crowd.  N requests are in flight, this one among them. */
static bool crowded(uint32_t n)
{
	bool now =
		atomic_load_explicit(&processors.crowded, memory_order_relaxed);

	if (n >= CROWD) {
		if (!now)
			processors.crowded = true;
		if (processors.calm)
			processors.calm = 0;
		return true;
	}
	if (now && n <= CALM && ++processors.calm >= CALM_FOR) {
		processors.crowded = false;
		return false;
	}
	return now;
}

static void move(bool confine)
{
	sched_setaffinity(0, sizeof(cpu_set_t),
			  confine ? &processors.half : &processors.all);
	confined = confine;
}

void safety_request_begin(void)
{
	bool confine = crowded(++processors.in_flight) || processors.apart;

	if (processors.may_move && confine != confined)
		move(confine);
}

void safety_turn(uint32_t in_flight)
{
	bool confine;

	/* Unsigned, so a number that has become smaller is subtracted. */
	if (in_flight != in_flight_here)
		processors.in_flight += in_flight - in_flight_here;
	in_flight_here = in_flight;
	confine = crowded(processors.in_flight) || processors.apart;
	if (processors.may_move && confine != confined)
		move(confine);
}

void safety_stay_apart(void)
{
	processors.apart = true;
}

void safety_request_end(void)
{
	processors.in_flight--;
}

/* 0 or an errno. */
static int become_realtime(void)
{
	struct sched_param param = { .sched_priority = SAFETY_PRIORITY };

	if (sched_setscheduler(0, SCHED_RR, &param))
		return errno;
	find_processors();
	return 0;
}

/* --- locking --- */

struct mapping {
	char *start;
	size_t bytes;
	bool readable, file, heap;
};

/* A line of /proc/self/maps (proc(5)). */
static bool parse_mapping(const char *line, struct mapping *m)
{
	uint64_t start, end, inode;
	char mode[5];
	int path_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*x %*s %" SCNu64 " %n",
		   &start, &end, mode, &inode, &path_at) != 4)
		return false;
	m->start = (char *)(uintptr_t)start;
	m->bytes = end - start;
	m->readable = mode[0] == 'r';
	m->file = inode != 0;
	m->heap = path_at && !strncmp(line + path_at, "[heap]", 6);
	/* [vdso] and the like are the kernel's, and always in memory. */
	return !path_at || strncmp(line + path_at, "[v", 2);
}

/* Locks those pages of a mapping that are in memory now. */
static int lock_touched(const struct mapping *m)
{
	static unsigned char present[ANONYMOUS_MAX_BYTES / 4096];
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);

	for (size_t at = 0; at < m->bytes; at += ANONYMOUS_MAX_BYTES) {
		size_t bytes = m->bytes - at;

		if (bytes > ANONYMOUS_MAX_BYTES)
			bytes = ANONYMOUS_MAX_BYTES;
		if (mincore(m->start + at, bytes, present))
			return errno;
		for (size_t i = 0; i < bytes / page_bytes; i++) {
			if (present[i] & 1 &&
			    mlock(m->start + at + i * page_bytes, page_bytes))
				return errno;
		}
	}
	return 0;
}

/* mlock(2) also populates the pages. */
static int lock_mapping(const struct mapping *m)
{
	if (!m->readable)
		return 0; /* guard pages */
	if (!m->file && !m->heap && m->bytes > ANONYMOUS_MAX_BYTES)
		return lock_touched(m);
	return mlock(m->start, m->bytes) ? errno : 0;
}

static int populate_heap(uint64_t bytes)
{
	char *p = malloc(bytes);

	if (!p)
		return ENOMEM;
	memset(p, 1, bytes);
	/* Keeps the compiler from dropping the memset. */
	__asm__ volatile("" : : "r"(p) : "memory");
	free(p);
	return 0;
}

/* The heap has the keys of TLS and of sealed pages. */
static int leave_heap_out_of_dumps(const struct mapping *m)
{
	return m->heap && madvise(m->start, m->bytes, MADV_DONTDUMP) ? errno
								     : 0;
}

/* Calls F for every mapping while it reads /proc/self/maps, until F returns an
 * errno.  That is safe: F may split the line of a mapping, and moves none. */
static int for_mappings(int (*f)(const struct mapping *m))
{
	static char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");
	int rc = 0;

	if (!maps)
		return errno;
	while (!rc && fgets(line, sizeof line, maps)) {
		struct mapping m;

		if (parse_mapping(line, &m))
			rc = f(&m);
	}
	fclose(maps);
	return rc;
}

int safety_grow_heap(uint64_t bytes)
{
	int rc = populate_heap(bytes);

	for_mappings(leave_heap_out_of_dumps);
	return rc;
}

static int lock_memory(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* The shadow memory of a sanitizer has terabytes. */
	(void)lock_mapping;
	return ENOTSUP;
#else
	int rc = for_mappings(lock_mapping);

	/* Later mappings (the engine's memory, stacks) are locked and populated
	 * when they are made. */
	if (!rc && mlockall(MCL_FUTURE))
		rc = errno;
	return rc;
#endif
}

void safety_apply(struct safety *safety, uint64_t heap_bytes)
{
	int rc;

	/* nbdkit -f (1.32) asks for a SIGTERM when its parent ends.  All pages
	 * would be lost with the shell that attached the device. */
	prctl(PR_SET_PDEATHSIG, 0);
	record(safety, SAFETY_OOM, "writing oom_score_adj", oomscore_never());
	record(safety, SAFETY_IO_FLUSHER, "prctl(PR_SET_IO_FLUSHER)",
	       prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) ? errno : 0);
	record(safety, SAFETY_REALTIME, "sched_setscheduler(SCHED_RR)",
	       become_realtime());
	rc = safety_grow_heap(heap_bytes);
	record(safety, SAFETY_LOCKED, "locking memory",
	       rc ? rc : lock_memory());
}

void safety_keep_huge_pages(void)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

uint64_t safety_locked_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];
	uint64_t kib = 0;

	if (!status)
		return 0;
	while (fgets(line, sizeof line, status)) {
		if (sscanf(line, "VmLck: %" SCNu64, &kib) == 1)
			break;
	}
	fclose(status);
	return kib << 10;
}
