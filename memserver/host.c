#include "host.h"

#include <cap-ng.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "log.h"
#include "machine/kernfile.h"
#include "machine/memory.h"
#include "size.h"

/* Refuses memory that the limit never allows.  Memory that other processes use
 * now may become free. */
bool host_check_cgroup(const struct config *config, struct error *why)
{
	const struct cgroup_limit *limit;
	struct cgroup_room room;
	uint64_t most_bytes = 0;

	if (config->hugepages)
		return true; /* the memory controller does not count them */
	if (cgroup_look(&room, why) < 0)
		return false;
	limit = &room.smallest;
	if (limit->max_bytes == CGROUP_NO_LIMIT)
		return true;
	if (limit->max_bytes > memory_cgroup_reserve_bytes(limit))
		most_bytes =
			limit->max_bytes - memory_cgroup_reserve_bytes(limit);
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

	if (!config->hugepages && !memory_has(config->memory_bytes, &why))
		log_error("--memory=%s is more than is free now: %s; "
			  "clients will be refused when it runs short",
			  size_format(config->memory_bytes).text, why.text);
}

bool host_check_memlock(const struct config *config, struct error *why)
{
	uint64_t needed_bytes = config->memory_bytes;
	struct rlimit limit;

	if (config->only)
		needed_bytes += config->only->locked_bytes;
	/* Huge pages are never paged out, so only registering locks them. */
	if (config->only && !config->only->slab_register && config->hugepages)
		return true;
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
	if (!memory_read_info(text, sizeof text) ||
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

void host_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}
