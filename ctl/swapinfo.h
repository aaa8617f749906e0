/* /proc/swaps and /proc/meminfo. */
#ifndef RSWAPCTL_SWAPINFO_H
#define RSWAPCTL_SWAPINFO_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct swap_usage {
	bool active;	 /* it is swapped to, or to what stands on it */
	char device[40]; /* where the swap is: "/dev/nbd0"; "" if not active */
	/* Where that is not the device itself, but a device that stands on it
	 * (device mapper): "/dev/dm-0 (swapcrypt)"; else "". */
	char above[72];
	int priority;
	uint64_t used_bytes;	   /* of it */
	uint64_t other_free_bytes; /* of all other swap devices and files */
};

/* How swap stands on DEVICE (a path, symbolic links are followed).  False if
 * /proc/swaps can't be read, or has anything that isn't understood: then nobody
 * may think that the device is free. */
bool swapinfo_read(const char *device, struct swap_usage *usage);

/* The same from a stream as /proc/swaps; DEVICE is without symbolic links. */
bool swapinfo_scan(FILE *swaps, const char *device, struct swap_usage *usage);

struct swap_names {
	char text[128]; /* "/dev/zram0, /swapfile" */
};

/* Whether other swap than DEVICE, and what stands on it, has this priority:
 * NAMES has its paths, as many as fit. */
bool swapinfo_shares_priority(const char *device, int priority,
			      struct swap_names *names);
bool swapinfo_scan_priority(FILE *swaps, const char *device, int priority,
			    struct swap_names *names);

/* A line of /proc/meminfo ("MemAvailable") in bytes; 0 if there is none. */
uint64_t meminfo_bytes(const char *key);

#endif
