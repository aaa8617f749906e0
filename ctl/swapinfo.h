/* Reads /proc/swaps and /proc/meminfo. */
#ifndef RSWAPCTL_SWAPINFO_H
#define RSWAPCTL_SWAPINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct swap_usage {
	bool active;	 /* swap is on it, or on a device that stands on it */
	char device[40]; /* the device with swap: "/dev/nbd0"; "" if not active
			  */
	/* If swap is on a device that stands on this one (device mapper):
	 * "/dev/dm-0 (swapcrypt)"; else "". */
	char above[72];
	int priority;
	uint64_t used_bytes; /* of it */
	/* Of all other swap devices and files, where pages can go that come
	 * back: without zram, and without devices that are gone. */
	uint64_t other_free_bytes;
};

/* The swap on DEVICE, a path; follows symbolic links.  False if /proc/swaps
 * can't be read, or has a line that isn't understood: then no caller may take
 * the device for free. */
bool swapinfo_read(const char *device, struct swap_usage *usage);

/* The same from a stream in the format of /proc/swaps; DEVICE is without
 * symbolic links. */
bool swapinfo_scan(FILE *swaps, const char *device, struct swap_usage *usage);

struct swap_names {
	char text[128]; /* "/dev/zram0, /swapfile" */
};

enum swap_beside {
	SWAP_EQUAL,	 /* of the same priority */
	SWAP_ZRAM_ABOVE, /* zram of a higher priority, which is filled first */
};

/* Whether there is such swap beside a device of this PRIORITY, without DEVICE
 * and the devices that stand on it.  NAMES gets the paths of that swap, as many
 * as fit. */
bool swapinfo_beside(enum swap_beside beside, const char *device, int priority,
		     struct swap_names *names);
bool swapinfo_scan_beside(FILE *swaps, enum swap_beside beside,
			  const char *device, int priority,
			  struct swap_names *names);

/* A line of /proc/meminfo ("MemAvailable") in bytes; 0 if there is none. */
uint64_t meminfo_bytes(const char *key);

#endif
