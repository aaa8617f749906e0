/* doctor: the NUMA nodes of RDMA devices and of the memory that goes through
 * them. */
#include "doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"

#include "sysfile.h"
#include "targets.h"
#include "words.h"

/* One in so many bytes may be elsewhere: what a process had before its policy,
 * and what found no room. */
#define FAR_SHARE 10

struct nodes {
	int with_memory;
	uint64_t bytes, near_bytes; /* of all, and of the one asked for */
};

static void read_nodes(int64_t near, struct nodes *nodes)
{
	struct sysfile_names names;

	*nodes = (struct nodes){ 0 };
	sysfile_list(&names, "/sys/devices/system/node");
	for (int i = 0; i < names.n; i++) {
		char line[96];
		uint64_t kib = 0;
		int node;

		if (sscanf(names.text[i], "node%d", &node) != 1 ||
		    !sysfile_line(line, sizeof line,
				  "/sys/devices/system/node/%s/meminfo",
				  names.text[i]) ||
		    sscanf(line, "Node %*d MemTotal: %" SCNu64, &kib) != 1)
			continue;
		nodes->with_memory += kib > 0;
		nodes->bytes += kib * 1024;
		if (node == near)
			nodes->near_bytes = kib * 1024;
	}
}

/* --- the memory of a process --- */

/* Adds the pages of a mapping, a line of numa_maps (proc(5)), to USE.  Only
 * anonymous memory: slabs, tables and lanes; a library may be anywhere. */
static void add_mapping(char *line, int64_t near, struct nodes *use)
{
	uint64_t pages = 0, near_pages = 0, n, page_kib = 4;
	char *rest, *word;
	int64_t node;

	if (!strstr(line, " anon="))
		return;
	for (word = strtok_r(line, " \n", &rest); word;
	     word = strtok_r(NULL, " \n", &rest)) {
		if (sscanf(word, "kernelpagesize_kB=%" SCNu64, &page_kib) == 1)
			continue;
		if (sscanf(word, "N%" SCNd64 "=%" SCNu64, &node, &n) != 2)
			continue;
		pages += n;
		near_pages += node == near ? n : 0;
	}
	use->bytes += pages * page_kib * 1024;
	use->near_bytes += near_pages * page_kib * 1024;
}

static void read_process(uint64_t pid, int64_t near, struct nodes *use)
{
	char *line = NULL, path[48];
	size_t size = 0;
	FILE *f;

	*use = (struct nodes){ 0 };
	snprintf(path, sizeof path, "/proc/%" PRIu64 "/numa_maps", pid);
	f = fopen(path, "re");
	while (f && getline(&line, &size, f) > 0)
		add_mapping(line, near, use);
	free(line);
	if (f)
		fclose(f);
}

/* --- a device --- */

/* Whether TARGET runs; then whether it is near the device is told. */
static bool check_target(const struct target *target, const char *device,
			 int64_t node)
{
	struct error ignored;
	struct json_object *answer = target_ask(target, &ignored);
	uint64_t pid = answer ? answer_number(answer, "pid") : 0;
	struct nodes use;
	char what[96];

	if (pid == 0)
		return false;
	read_process(pid, node, &use);
	snprintf(what, sizeof what, "memory of %.60s", target->name);
	if ((use.bytes - use.near_bytes) > use.bytes / FAR_SHARE)
		doctor_find(what, FINDING_NUMA_FAR,
			    "%s of %s at NUMA node %" PRId64
			    ", where %.60s is: the rest takes a detour",
			    words_bytes(use.near_bytes).text,
			    words_bytes(use.bytes).text, node, device);
	else
		doctor_tell(FOUND_OK, what, NULL,
			    "at NUMA node %" PRId64 ", as %.60s", node, device);
	return true;
}

void doctor_numa(const char *device, int64_t node)
{
	static struct target targets[TARGETS_MAX];
	struct nodes nodes;
	char what[96];
	int n, running = 0;

	read_nodes(node, &nodes);
	if (nodes.with_memory < 2)
		return;
	n = targets_find(NULL, NULL, 0, NULL, targets);
	for (int i = 0; i < n; i++)
		running += check_target(&targets[i], device, node);
	if (running > 0)
		return;
	snprintf(what, sizeof what, "RDMA %.60s", device);
	doctor_tell(FOUND_OK, what,
		    "start what uses it there: NUMAPolicy=preferred and "
		    "NUMAMask=NODE in the unit, or numactl --preferred=NODE",
		    "at NUMA node %" PRId64
		    ", which has %s of the machine's %s",
		    node, words_bytes(nodes.near_bytes).text,
		    words_bytes(nodes.bytes).text);
}
