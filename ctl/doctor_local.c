#include "doctor.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "ctlsock.h"
#include "execroom.h"
#include "nbddev.h"
#include "run.h"
#include "vmtune.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

#define TOOL_NS (10 * NS_PER_S)
#define MIB	(1024 * 1024)

/* The first line of a file of /proc or /sys, without its newline. */
static bool read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, (int)size, f);

	if (f)
		fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = '\0';
	return ok;
}

/* --- modules --- */

static bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

/* As a file, or built in: modinfo knows of both. */
static bool module_available(const char *name)
{
	const char *const argv[] = { "modinfo", "-n", name, NULL };
	struct error ignored;

	return run_tool(argv, clock_now_ns() + TOOL_NS, NULL, 0, &ignored) == 0;
}

static void tell_module(const char *name, enum finding missing,
			const char *remedy)
{
	char what[32];

	snprintf(what, sizeof what, "module %s", name);
	if (module_loaded(name))
		doctor_tell(FOUND_OK, what, NULL, "loaded");
	else if (module_available(name))
		doctor_tell(FOUND_OK, what, NULL, "there, not loaded yet");
	else
		doctor_tell(missing, what, remedy, "not there");
}

/* --- nbd --- */

void doctor_nbd(void)
{
	int count = nbddev_count();

	/* A kernel that has nbd built in may have no module to show. */
	if (count == 0) {
		tell_module("nbd", FOUND_FAIL,
			    "use a kernel that has nbd (Debian's "
			    "linux-image-amd64 does)");
		return;
	}
	if (nbddev_find_free() < 0)
		doctor_tell(FOUND_FAIL, "nbd devices",
			    "detach one, or load nbd with a larger nbds_max",
			    "all %d are in use", count);
	else
		doctor_tell(FOUND_OK, "nbd devices", NULL,
			    "%d, the first free one is /dev/nbd%d", count,
			    nbddev_find_free());
}

/* --- RDMA --- */

/* One line for each port of a device. */
static void tell_ports(const char *device)
{
	for (int port = 1; port < 256; port++) {
		char path[300], what[300], state[32], layer[32] = "?";

		snprintf(path, sizeof path,
			 "/sys/class/infiniband/%s/ports/%d/state", device,
			 port);
		if (!read_line(path, state, sizeof state))
			return;
		snprintf(path, sizeof path,
			 "/sys/class/infiniband/%s/ports/%d/link_layer", device,
			 port);
		read_line(path, layer, sizeof layer);
		snprintf(what, sizeof what, "RDMA %s port %d", device, port);
		if (strstr(state, "ACTIVE"))
			doctor_tell(FOUND_OK, what, NULL, "%s, %s", state,
				    layer);
		else
			doctor_tell(FOUND_WARN, what,
				    "check cable, ip link, and (InfiniBand) "
				    "the subnet manager",
				    "%s, %s", state, layer);
	}
}

void doctor_rdma(void)
{
	static const char remedy[] = "needed for transport=rdma only";
	DIR *dir = opendir("/sys/class/infiniband");
	struct dirent *entry;
	int devices = 0;

	tell_module("ib_uverbs", FOUND_WARN, remedy);
	tell_module("rdma_ucm", FOUND_WARN, remedy);
	tell_module("rdma_rxe", FOUND_OK,
		    "only for trying RDMA without RDMA hardware");
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		devices++;
		tell_ports(entry->d_name);
	}
	if (dir)
		closedir(dir);
	if (devices == 0)
		doctor_tell(FOUND_WARN, "RDMA devices",
			    module_available("rdma_rxe")
				    ? "pages will travel over TCP; for a trial "
				      "without hardware: rdma link add rxe0 "
				      "type rxe netdev DEVICE"
				    : "pages will travel over TCP",
			    "none");
}

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
	static const char path[] = "/proc/sys/kernel/sched_rt_runtime_us";
	char line[32];
	long us;

	if (!read_line(path, line, sizeof line))
		return;
	us = strtol(line, NULL, 10);
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
			    "%ld us of each period", us);
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

/* nbdkit's message, without the hint at its manual that follows. */
static const char *error_line(char *output)
{
	char *error = strstr(output, "error: ");

	if (!error)
		return run_last_line(output);
	error[strcspn(error, "\n")] = '\0';
	return error + strlen("error: ");
}

static void check_plugin(const char *plugin)
{
	char output[8192], version[64];
	char name[256];
	const char *const argv[] = { "nbdkit", plugin, "--dump-plugin", NULL };
	struct error why;
	char *dash;
	int status;

	status = run_tool(argv, clock_now_ns() + TOOL_NS, output, sizeof output,
			  &why);
	if (status != 0) {
		doctor_tell(FOUND_FAIL, "plugin",
			    "cmake --install, or name it with --plugin=PATH",
			    "%s: %s", plugin,
			    status < 0 ? why.text : error_line(output));
		return;
	}
	/* nbdkit writes key=value */
	for (dash = output; (dash = strchr(dash, '=')); dash++)
		*dash = ' ';
	if (!ctlsock_value(output, "name", name, sizeof name) ||
	    strcmp(name, "rswap"))
		doctor_tell(FOUND_FAIL, "plugin", "name it with --plugin=PATH",
			    "%s is another plugin", plugin);
	else if (!ctlsock_value(output, "version", version, sizeof version))
		doctor_tell(FOUND_OK, "plugin", NULL, "%s", plugin);
	else if (strcmp(version, RSWAP_VERSION))
		doctor_tell(FOUND_WARN, "plugin", "install both anew",
			    "%s is version %s, rswapctl is " RSWAP_VERSION,
			    plugin, version);
	else
		doctor_tell(FOUND_OK, "plugin", NULL, "%s, version %s", plugin,
			    version);
}

/* Whether nbdkit can start at all, before its plugin is checked. */
static void check_start(const char *nbdkit)
{
	static const char what[] = "memory for nbdkit";
	struct execroom room;

	if (!execroom_read(nbdkit, &room))
		return;
	if (!execroom_fits(&room))
		doctor_tell(FOUND_FAIL, what, room.remedy,
			    "it starts with %" PRIu64
			    " MiB of static buffers, and gets SIGSEGV: there "
			    "are %" PRIu64 " MiB of %s",
			    (room.needs_bytes + MIB - 1) / MIB,
			    room.has_bytes / MIB, room.limit);
	else if (room.has_bytes == UINT64_MAX)
		doctor_tell(FOUND_OK, what, NULL, "%s", room.limit);
	else
		doctor_tell(FOUND_OK, what, NULL,
			    "%" PRIu64 " MiB to start with, %" PRIu64
			    " MiB of %s",
			    (room.needs_bytes + MIB - 1) / MIB,
			    room.has_bytes / MIB, room.limit);
}

void doctor_tools(const char *plugin)
{
	static const struct {
		const char *name;
		const char *remedy;
	} tools[] = {
		{ "nbdkit", "apt-get install nbdkit" },
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
	if (run_find("nbdkit", where, sizeof where)) {
		check_start(where);
		check_plugin(plugin);
	}
}
