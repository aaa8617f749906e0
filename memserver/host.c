#include "host.h"

#include <cap-ng.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine/cgroup.h"
#include "machine/kernfile.h"
#include "log.h"
#include "size.h"

/* What queue pairs and completion queues may pin besides slabs. */
#define RDMA_EXTRA_BYTES (64ull << 20)

/* Of the machine's memory, and of what a cgroup may use, what is never handed
 * out: one part in this many. */
#define RESERVE_PART 64
/* And of a cgroup's besides, for this process itself: its threads, sessions and
 * sockets. */
#define CGROUP_RESERVE_BYTES (8ull << 20)

/* Stays open: memory must not be refused, and not be granted unseen, for want
 * of a descriptor.  -1 before host_open_memory. */
static int meminfo_fd = -1;

static bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : kernfile_read(fd, text, size);

	if (fd >= 0)
		close(fd);
	return n > 0;
}

static bool read_meminfo(char *text, size_t size)
{
	if (meminfo_fd < 0)
		return read_file("/proc/meminfo", text, size);
	return kernfile_read(meminfo_fd, text, size) > 0;
}

bool host_open_memory(struct error *why)
{
	bool seen;

	meminfo_fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	if (meminfo_fd < 0) {
		error_set(why, "cannot open /proc/meminfo: %s",
			  strerror(errno));
		return false;
	}
	if (cgroup_open(&seen, why) < 0)
		return false;
	if (!seen)
		log_notice("no cgroup with a memory controller is mounted "
			   "here: a limit that there may be is not heeded");
	return true;
}

static bool machine_has_memory(uint64_t bytes, struct error *why)
{
	char text[8192];
	uint64_t available_bytes;
	uint64_t total_bytes;

	if (!read_meminfo(text, sizeof text) ||
	    !kernfile_find(text, "MemAvailable:", &available_bytes) ||
	    !kernfile_find(text, "MemTotal:", &total_bytes)) {
		error_set(why, "cannot read /proc/meminfo");
		return false;
	}
	if (available_bytes >= bytes + total_bytes / RESERVE_PART)
		return true;
	error_set(why, "this machine has %s available, of which %s are kept",
		  size_format(available_bytes >> 20 << 20).text,
		  size_format(total_bytes / RESERVE_PART >> 20 << 20).text);
	return false;
}

static uint64_t cgroup_reserve_bytes(const struct cgroup_limit *limit)
{
	return limit->max_bytes / RESERVE_PART + CGROUP_RESERVE_BYTES;
}

static bool cgroup_has_memory(uint64_t bytes, struct error *why)
{
	struct cgroup_room room;
	const struct cgroup_limit *limit = &room.tightest;

	if (cgroup_look(&room, why) < 0)
		return false;
	if (limit->max_bytes == CGROUP_NO_LIMIT ||
	    limit->available_bytes >= bytes + cgroup_reserve_bytes(limit))
		return true;
	error_set(why,
		  "its cgroup may use %s (%s), and of that %s are left, of "
		  "which %s are kept",
		  size_format(limit->max_bytes >> 10 << 10).text, limit->file,
		  size_format(limit->available_bytes >> 20 << 20).text,
		  size_format(cgroup_reserve_bytes(limit) >> 20 << 20).text);
	return false;
}

bool host_has_memory(uint64_t bytes, struct error *why)
{
	return machine_has_memory(bytes, why) && cgroup_has_memory(bytes, why);
}

/* What can never be had is refused; what others use now may come. */
bool host_check_cgroup(const struct config *config, struct error *why)
{
	const struct cgroup_limit *limit;
	struct cgroup_room room;
	uint64_t most_bytes = 0;

	if (config->hugepages)
		return true; /* the memory controller does not count these */
	if (cgroup_look(&room, why) < 0)
		return false;
	limit = &room.smallest;
	if (limit->max_bytes == CGROUP_NO_LIMIT)
		return true;
	if (limit->max_bytes > cgroup_reserve_bytes(limit))
		most_bytes = limit->max_bytes - cgroup_reserve_bytes(limit);
	if (config->memory_bytes <= most_bytes)
		return true;
	error_set(why,
		  "--memory=%s: its cgroup may use %s (%.100s): at most %s "
		  "are allowed, or raise that limit (MemoryMax= in a service)",
		  size_format(config->memory_asked_bytes).text,
		  size_format(limit->max_bytes >> 10 << 10).text, limit->file,
		  size_format(most_bytes >> 20 << 20).text);
	return false;
}

void host_check_memory(const struct config *config)
{
	struct error why;

	if (!config->hugepages && !host_has_memory(config->memory_bytes, &why))
		log_error("--memory=%s is more than can be had now: %s; "
			  "clients will be refused when it runs short",
			  size_format(config->memory_bytes).text, why.text);
}

bool host_check_memlock(const struct config *config, struct error *why)
{
	uint64_t needed_bytes = config->memory_bytes;
	struct rlimit limit;

	if (config->transport == CONFIG_RDMA)
		needed_bytes += RDMA_EXTRA_BYTES;
	if (config->transport == CONFIG_TCP && config->hugepages)
		return true; /* never paged out, and not counted */
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) ||
	    getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed_bytes)
		return true;
	error_set(why,
		  "--memory=%s: may lock %s, needs %s: raise it with "
		  "LimitMEMLOCK= in the service, ulimit -l %" PRIu64
		  ", or memlock in limits.conf (or grant CAP_IPC_LOCK)",
		  size_format(config->memory_bytes).text,
		  size_format(limit.rlim_cur).text,
		  size_format(needed_bytes).text, needed_bytes >> 10);
	return false;
}

bool host_check_hugepages(const struct config *config, struct error *why)
{
	char text[8192];
	uint64_t page_bytes;
	uint64_t free_pages;
	uint64_t reserved_pages;
	uint64_t needed_pages;

	if (!config->hugepages)
		return true;
	if (!read_meminfo(text, sizeof text) ||
	    !kernfile_find(text, "Hugepagesize:", &page_bytes) ||
	    !kernfile_find(text, "HugePages_Free:", &free_pages) ||
	    !kernfile_find(text, "HugePages_Rsvd:", &reserved_pages) ||
	    !page_bytes) {
		error_set(why, "--hugepages: this kernel has no huge pages");
		return false;
	}
	if (config->slab_bytes < page_bytes) {
		error_set(why,
			  "--slab-size=%s: with --hugepages must be at least "
			  "one huge page (%s)",
			  size_format(config->slab_bytes).text,
			  size_format(page_bytes).text);
		return false;
	}
	needed_pages = config->memory_bytes / page_bytes;
	free_pages -= reserved_pages < free_pages ? reserved_pages : free_pages;
	if (needed_pages <= free_pages)
		return true;
	error_set(why,
		  "--hugepages: --memory=%s needs %" PRIu64
		  " huge pages of %s, and %" PRIu64
		  " are free: raise vm.nr_hugepages by %" PRIu64,
		  size_format(config->memory_bytes).text, needed_pages,
		  size_format(page_bytes).text, free_pages,
		  needed_pages - free_pages);
	return false;
}

void host_protect_from_oom(void)
{
	static const char score[] = "-1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, score, sizeof score - 1) < 0)
		log_notice("cannot set the OOM score to -1000 (%s): the kernel "
			   "may kill this server, and its clients lose their "
			   "pages, when this machine runs out of memory",
			   strerror(errno));
	if (fd >= 0)
		close(fd);
}

void host_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

uint64_t host_rss_bytes(void)
{
	char text[256];
	char *end;

	if (!read_file("/proc/self/statm", text, sizeof text))
		return 0;
	strtoull(text, &end, 10);
	return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
