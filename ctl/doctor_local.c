#include "doctor.h"

#include <cap-ng.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "run.h"
#include "sysfile.h"
#include "vmtune.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

#define MIB (1024 * 1024)

/* --- what a process may do --- */

void doctor_limits(void)
{
	struct rlimit limit = { 0, 0 };

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK))
		doctor_tell(FOUND_OK, "locked memory", NULL,
			    "no limit (CAP_IPC_LOCK)");
	else if (limit.rlim_max == RLIM_INFINITY)
		doctor_tell(FOUND_OK, "locked memory", NULL, "no limit");
	else
		doctor_tell(limit.rlim_max < 64 * MIB ? FOUND_FAIL : FOUND_WARN,
			    "locked memory",
			    "run as root, or raise memlock (ulimit -l, "
			    "LimitMEMLOCK=infinity)",
			    "at most %" PRIu64 " KiB",
			    (uint64_t)limit.rlim_max / 1024);
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_RESOURCE))
		doctor_tell(FOUND_OK, "OOM score", NULL, "can be lowered");
	else
		doctor_tell(FOUND_WARN, "OOM score", "grant CAP_SYS_RESOURCE",
			    "rswap can't be spared by the OOM killer");
}

static void check_io_flusher(void)
{
	bool was = prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1;

	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0) {
		prctl(PR_SET_IO_FLUSHER, was, 0, 0, 0);
		doctor_tell(FOUND_OK, "IO_FLUSHER", NULL, "allowed");
	} else if (errno == EINVAL) {
		doctor_tell(FOUND_FAIL, "IO_FLUSHER", "use Linux 5.6 or later",
			    "this kernel doesn't have it");
	} else {
		doctor_tell(FOUND_FAIL, "IO_FLUSHER",
			    "grant CAP_SYS_RESOURCE (run as root, outside of "
			    "a container)",
			    "refused: %s", strerror(errno));
	}
}

static void check_realtime(void)
{
	struct sched_param old, rr = { .sched_priority = 1 };
	int policy = sched_getscheduler(0);

	sched_getparam(0, &old);
	if (sched_setscheduler(0, SCHED_RR, &rr) == 0) {
		sched_setscheduler(0, policy, &old);
		doctor_tell(FOUND_OK, "real-time priority", NULL, "allowed");
	} else {
		doctor_tell(FOUND_FAIL, "real-time priority",
			    "grant CAP_SYS_NICE or LimitRTPRIO; over TCP the "
			    "machine hangs under pressure without it",
			    "refused: %s", strerror(errno));
	}
}

/* How much of each period real-time threads may have.  The rest is for the
 * other threads. */
static void check_throttling(void)
{
	int64_t us;

	if (!sysfile_number(&us, "/proc/sys/kernel/sched_rt_runtime_us"))
		return;
	if (us == 0)
		doctor_tell(FOUND_FAIL, "real-time throttling",
			    "sysctl kernel.sched_rt_runtime_us=950000",
			    "real-time threads get no time at all");
	else if (us < 0)
		doctor_tell(FOUND_WARN, "real-time throttling",
			    "sysctl kernel.sched_rt_runtime_us=950000 keeps "
			    "the machine usable if a thread runs wild",
			    "off");
	else
		doctor_tell(FOUND_OK, "real-time throttling", NULL,
			    "%" PRId64 " us of each period", us);
}

void doctor_scheduling(void)
{
	check_io_flusher();
	check_realtime();
	check_throttling();
}

void doctor_memory(void)
{
	static const char what[] = "vm.min_free_kbytes";
	uint64_t kib = reserve_now_kib(), wanted_kib = reserve_wanted_kib();
	char remedy[96];

	if (!kib)
		return;
	snprintf(remedy, sizeof remedy,
		 "sysctl vm.min_free_kbytes=%" PRIu64
		 " (rswapctl attach sets it)",
		 wanted_kib);
	if (kib < 1024)
		doctor_tell(FOUND_FAIL, what, remedy,
			    "%" PRIu64 ", below 1 MiB swapping over a network "
			    "deadlocks",
			    kib);
	else if (kib < wanted_kib)
		doctor_tell(FOUND_WARN, what, remedy, "%" PRIu64, kib);
	else
		doctor_tell(FOUND_OK, what, NULL, "%" PRIu64, kib);
}

/* --- tools --- */

void doctor_tools(void)
{
	static const struct {
		const char *name;
		const char *remedy;
	} tools[] = {
		{ "mkswap", "apt-get install util-linux" },
		{ "swapon", "apt-get install mount" },
		{ "modprobe", "apt-get install kmod" },
	};
	char where[256];

	for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
		if (run_find(tools[i].name, where, sizeof where))
			doctor_tell(FOUND_OK, tools[i].name, NULL, "%s", where);
		else
			doctor_tell(FOUND_FAIL, tools[i].name, tools[i].remedy,
				    "not installed");
	}
}
