#include "swapinfo.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether NAME, of /proc/swaps, is DEVICE, an absolute path.  Where swapon ran
 * in a mount namespace that is gone (a systemd unit's), the kernel knows the
 * path only from the root of that file system on: /nbd0 for /dev/nbd0. */
static bool is_device(const char *name, const char *device)
{
	return !strcmp(name, device) ||
	       (!strncmp(device, "/dev/", 5) && !strcmp(name, device + 4));
}

void swapinfo_scan(FILE *swaps, const char *device, struct swap_usage *usage)
{
	char line[PATH_MAX + 128];
	char name[PATH_MAX];
	uint64_t size_kb, used_kb;

	*usage = (struct swap_usage){ 0 };
	while (fgets(line, sizeof line, swaps)) {
		if (sscanf(line, "%4095s %*s %" SCNu64 " %" SCNu64, name,
			   &size_kb, &used_kb) != 3)
			continue; /* the heading */
		if (is_device(name, device)) {
			usage->active = true;
			usage->used_bytes = used_kb * 1024;
		} else if (size_kb > used_kb) {
			usage->other_free_bytes += (size_kb - used_kb) * 1024;
		}
	}
}

bool swapinfo_read(const char *device, struct swap_usage *usage)
{
	FILE *f = fopen("/proc/swaps", "re");
	char real[PATH_MAX];

	*usage = (struct swap_usage){ 0 };
	if (!f)
		return false;
	if (!realpath(device, real))
		snprintf(real, sizeof real, "%s", device);
	swapinfo_scan(f, real, usage);
	fclose(f);
	return true;
}

uint64_t meminfo_bytes(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "re");
	size_t length = strlen(key);
	uint64_t kb = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, key, length) == 0 && line[length] == ':') {
			sscanf(line + length + 1, "%" SCNu64, &kb);
			break;
		}
	}
	fclose(f);
	return kb * 1024;
}
