#include "vmtune.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "swapinfo.h"

#define RESERVE_MAX_KIB (64u << 10)
#define RESERVE_PART	20

static const char min_free[] = "/proc/sys/vm/min_free_kbytes";
static const char compact[] = "/proc/sys/vm/compact_unevictable_allowed";

uint64_t reserve_wanted_kib(void)
{
	uint64_t kib = (meminfo_bytes("MemTotal") >> 10) / RESERVE_PART;

	return kib < RESERVE_MAX_KIB ? kib : RESERVE_MAX_KIB;
}

uint64_t reserve_now_kib(void)
{
	FILE *f = fopen(min_free, "re");
	uint64_t kib = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &kib) != 1)
		kib = 0;
	fclose(f);
	return kib;
}

static int set(const char *path, uint64_t value, struct error *why)
{
	FILE *f = fopen(path, "we");
	int rc = f ? 0 : -errno;

	if (f) {
		fprintf(f, "%" PRIu64 "\n", value);
		if (fclose(f))
			rc = -errno;
	}
	if (rc)
		error_set(why, "%s: %s", path, strerror(-rc));
	return rc;
}

int reserve_set_kib(uint64_t kib, struct error *why)
{
	return set(min_free, kib, why);
}

int compaction_spare_locked(struct error *why)
{
	return set(compact, 0, why);
}
