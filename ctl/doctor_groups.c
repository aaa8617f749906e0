/* doctor: huge pages, and the limits of control groups (version 2). */
#include "doctor.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "size.h"
#include "swapinfo.h"
#include "sysfile.h"

#define GROUPS "/sys/fs/cgroup"
/* How deep below the top to look for groups that may not swap: slices, their
 * services, pods, and containers. */
#define GROUP_LEVELS 4
#define NAMED_MAX    3
/* Huge pages that nobody uses are told of from this part of the memory on. */
#define IDLE_PART 8

/* --- huge pages --- */

/* Of those that are reserved, the ones that no program has or was promised. */
static uint64_t idle_huge_bytes(void)
{
	/* these are numbers and not kB */
	uint64_t free = meminfo_bytes("HugePages_Free") / 1024;
	uint64_t promised = meminfo_bytes("HugePages_Rsvd") / 1024;

	return free > promised
		       ? (free - promised) * meminfo_bytes("Hugepagesize")
		       : 0;
}

void doctor_huge_pages(void)
{
	static const char what[] = "huge pages";
	bool reserved = meminfo_bytes("HugePages_Total") > 0;
	bool swaps = doctor_concerned >> ROLE_COMPUTE & 1;
	uint64_t idle_bytes = idle_huge_bytes();
	char enabled[64];

	if (swaps && idle_bytes > meminfo_bytes("MemTotal") / IDLE_PART)
		doctor_find(what, FINDING_HUGE_PAGES_IDLE,
			    "%s are reserved and not used: no other program "
			    "can have them, so the machine swaps sooner",
			    size_format(idle_bytes).text);
	if (!sysfile_line(enabled, sizeof enabled,
			  "/sys/kernel/mm/transparent_hugepage/enabled"))
		return;
	/* A memory server with --hugepages takes those that are reserved. */
	if (strstr(enabled, "[never]") && (swaps || !reserved))
		doctor_find(what, FINDING_HUGE_PAGES_OFF,
			    "transparent huge pages are off: %s",
			    swaps ? "the front end's tables are in small pages"
				  : "slabs are in small pages");
	else
		doctor_tell(FOUND_OK, what, NULL, "%s",
			    reserved ? "reserved, or transparent"
				     : "transparent");
}

/* --- limits of memory --- */

/* The path of a process' group below GROUPS; false where it has none.  A group
 * outside of the namespace ("/..") can't be seen. */
static bool read_group(pid_t pid, char *path, size_t size)
{
	char line[PATH_MAX], file[40];
	bool found = false;
	FILE *f;

	snprintf(file, sizeof file, "/proc/%d/cgroup", (int)pid);
	f = fopen(file, "re");
	while (f && !found && fgets(line, sizeof line, f)) {
		found = !strncmp(line, "0::/", 4) && strncmp(line, "0::/..", 6);
		line[strcspn(line, "\n")] = '\0';
	}
	if (f)
		fclose(f);
	/* the top is "" and not "/" */
	return found && (size_t)snprintf(path, size, "%s",
					 line[4] ? line + 3 : "") < size;
}

/* "max" is no number. */
static void take_least(const char *group, const char *file, int64_t *least,
		       char *where, size_t size)
{
	int64_t bytes;

	if (!sysfile_number(&bytes, GROUPS "%s/%s", group, file) ||
	    bytes >= *least)
		return;
	*least = bytes;
	snprintf(where, size, "%s/%s", group, file);
}

void doctor_group_memory(pid_t pid, const char *what)
{
	int64_t memory = (int64_t)meminfo_bytes("MemTotal"), least = memory;
	char group[512], where[600] = "";

	if (!read_group(pid, group, sizeof group))
		return;
	for (;;) {
		char *end = strrchr(group, '/');

		take_least(group, "memory.max", &least, where, sizeof where);
		take_least(group, "memory.high", &least, where, sizeof where);
		if (!end)
			break;
		*end = '\0';
	}
	if (least < memory)
		doctor_find(what, FINDING_CGROUP_MEMORY,
			    "at most %s of memory (%s%.100s)",
			    size_format((uint64_t)least).text, GROUPS, where);
}

/* --- limits of swap --- */

struct limited {
	char text[256]; /* "/a.slice (0), /b.slice (1G)" */
	int n;
};

static void add_limited(struct limited *limited, const char *group,
			int64_t bytes)
{
	size_t have = strlen(limited->text);

	if (limited->n++ >= NAMED_MAX)
		return;
	snprintf(limited->text + have, sizeof limited->text - have,
		 "%s%.60s (%s)", have ? ", " : "", group,
		 bytes ? size_format((uint64_t)bytes).text : "0");
}

/* rswap's own units do not swap, on purpose. */
static bool is_ours(const char *name)
{
	return !strncmp(name, "rswap", 5) || strstr(name, "-rswap");
}

/* The groups below GROUP ("" or "/a.slice") with a limit.  What is below such a
 * group goes by that limit. */
static void find_limited(const char *group, int level, struct limited *limited)
{
	struct sysfile_names names;

	sysfile_list_directories(&names, GROUPS "%s", group);
	for (int i = 0; i < names.n; i++) {
		char child[256];
		int64_t bytes;

		if (is_ours(names.text[i]) ||
		    (size_t)snprintf(child, sizeof child, "%s/%s", group,
				     names.text[i]) >= sizeof child)
			continue;
		if (sysfile_number(&bytes, GROUPS "%s/memory.swap.max", child))
			add_limited(limited, child, bytes);
		else if (level < GROUP_LEVELS)
			find_limited(child, level + 1, limited);
	}
}

void doctor_group_swap(void)
{
	struct limited limited = { .n = 0 };
	int64_t bytes;

	/* the top has this file in a container only */
	if (sysfile_number(&bytes, GROUPS "/memory.swap.max"))
		add_limited(&limited, "/", bytes);
	else
		find_limited("", 1, &limited);
	if (limited.n > NAMED_MAX)
		doctor_find("memory.swap.max", FINDING_CGROUP_SWAP,
			    "a limit for %s and %d more", limited.text,
			    limited.n - NAMED_MAX);
	else if (limited.n)
		doctor_find("memory.swap.max", FINDING_CGROUP_SWAP,
			    "a limit for %s", limited.text);
}
