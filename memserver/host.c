#include "host.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "log.h"
#include "size.h"

/* What queue pairs and completion queues may pin besides slabs. */
#define RDMA_EXTRA_BYTES (64ull << 20)

/* Of the machine's memory, what is never handed out: one part in this many. */
#define RESERVE_PART 64

static bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t got = 0;

	if (fd < 0)
		return false;
	while (used < size - 1 &&
	       (got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	close(fd);
	text[used] = '\0';
	return got >= 0 && used;
}

bool host_meminfo_find(const char *meminfo, const char *key, uint64_t *value)
{
	size_t length = strlen(key);
	const char *line = meminfo;

	while (line && strncmp(line, key, length) != 0) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	if (!line)
		return false;

	char *end;

	line += length;
	*value = strtoull(line, &end, 10);
	if (end == line)
		return false;
	if (!strncmp(end, " kB", 3))
		*value *= 1024;
	return true;
}

static bool read_meminfo(char *text, size_t size)
{
	return read_file("/proc/meminfo", text, size);
}

bool host_has_memory(uint64_t bytes)
{
	char text[4096];
	uint64_t available_bytes;
	uint64_t total_bytes;

	if (!read_meminfo(text, sizeof text) ||
	    !host_meminfo_find(text, "MemAvailable:", &available_bytes) ||
	    !host_meminfo_find(text, "MemTotal:", &total_bytes))
		return true;
	return available_bytes >= bytes + total_bytes / RESERVE_PART;
}

void host_check_memory(const struct config *config)
{
	char text[4096];
	uint64_t available_bytes;

	if (config->hugepages || !read_meminfo(text, sizeof text) ||
	    !host_meminfo_find(text, "MemAvailable:", &available_bytes) ||
	    available_bytes >= config->memory_bytes)
		return;
	log_error("--memory=%s is more than the %s that this machine has "
		  "available now: clients will be refused when it runs short",
		  size_format(config->memory_bytes).text,
		  size_format(available_bytes >> 20 << 20).text);
}

static bool can_lock_without_limit(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	return data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &
	       CAP_TO_MASK(CAP_IPC_LOCK);
}

bool host_check_memlock(const struct config *config, struct reason *why)
{
	uint64_t needed_bytes = config->memory_bytes;
	struct rlimit limit;

	if (config->transport == CONFIG_RDMA)
		needed_bytes += RDMA_EXTRA_BYTES;
	if (config->transport == CONFIG_TCP && config->hugepages)
		return true; /* never paged out, and not counted */
	if (can_lock_without_limit() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= needed_bytes)
		return true;
	reason_set(why,
		   "--memory=%s: may lock %s, needs %s: raise it with "
		   "LimitMEMLOCK= in the service, ulimit -l %" PRIu64
		   ", or memlock in limits.conf (or grant CAP_IPC_LOCK)",
		   size_format(config->memory_bytes).text,
		   size_format(limit.rlim_cur).text,
		   size_format(needed_bytes).text, needed_bytes >> 10);
	return false;
}

bool host_check_hugepages(const struct config *config, struct reason *why)
{
	char text[4096];
	uint64_t page_bytes;
	uint64_t free_pages;
	uint64_t reserved_pages;
	uint64_t needed_pages;

	if (!config->hugepages)
		return true;
	if (!read_meminfo(text, sizeof text) ||
	    !host_meminfo_find(text, "Hugepagesize:", &page_bytes) ||
	    !host_meminfo_find(text, "HugePages_Free:", &free_pages) ||
	    !host_meminfo_find(text, "HugePages_Rsvd:", &reserved_pages) ||
	    !page_bytes) {
		reason_set(why, "--hugepages: this kernel has no huge pages");
		return false;
	}
	if (config->slab_bytes < page_bytes) {
		reason_set(why,
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
	reason_set(why,
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
