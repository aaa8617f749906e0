#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernfile.h"
#include "log.h"
#include "size.h"

/* One part in this many of the machine's memory, and of what a cgroup may use,
 * is never granted. */
#define RESERVE_PART 64
/* In a cgroup also: for the threads, sessions and sockets of this process. */
#define CGROUP_RESERVE_BYTES (8ull << 20)

/* Stays open, so that a lack of descriptors does not keep the server from
 * seeing how much memory there is.  -1 before memory_open. */
static int meminfo_fd = -1;

static bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : kernfile_read(fd, text, size);

	if (fd >= 0)
		close(fd);
	return n > 0;
}

bool memory_read_info(char *text, size_t size)
{
	if (meminfo_fd < 0)
		return read_file("/proc/meminfo", text, size);
	return kernfile_read(meminfo_fd, text, size) > 0;
}

bool memory_open(struct error *why)
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
			   "here: a limit of this server's cgroup is not seen");
	return true;
}

static bool machine_has_memory(uint64_t bytes, struct error *why)
{
	char text[8192];
	uint64_t available_bytes;
	uint64_t total_bytes;

	if (!memory_read_info(text, sizeof text) ||
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

uint64_t memory_cgroup_reserve_bytes(const struct cgroup_limit *limit)
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
	    limit->available_bytes >=
		    bytes + memory_cgroup_reserve_bytes(limit))
		return true;
	error_set(why,
		  "its cgroup may use %s (%s), and of that %s are left, of "
		  "which %s are kept",
		  size_format(limit->max_bytes >> 10 << 10).text, limit->file,
		  size_format(limit->available_bytes >> 20 << 20).text,
		  size_format(memory_cgroup_reserve_bytes(limit) >> 20 << 20)
			  .text);
	return false;
}

bool memory_has(uint64_t bytes, struct error *why)
{
	return machine_has_memory(bytes, why) && cgroup_has_memory(bytes, why);
}

uint64_t memory_rss_bytes(void)
{
	char text[256];
	char *end;

	if (!read_file("/proc/self/statm", text, sizeof text))
		return 0;
	strtoull(text, &end, 10);
	return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
