/* Block devices, as sysfs shows them; and the devices that stand on one: its
 * partitions, the devices that device mapper and md made of it, and so on
 * upwards. */
#ifndef RSWAPCTL_BLOCKDEV_H
#define RSWAPCTL_BLOCKDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BLOCKDEV_STACK_MAX 16

struct blockdev {
	char name[32];	/* as in /sys/class/block: "dm-0" */
	char label[72]; /* for a message: "/dev/dm-0 (swapcrypt)" */
	char dm[128];	/* device mapper's name for it, or "" */
	dev_t dev;	/* 0 where sysfs does not tell */
};

struct blockdev_stack {
	struct blockdev devices[BLOCKDEV_STACK_MAX];
	int n; /* at least 1: the device itself comes first */
};

/* PATH without "/dev/", in place; a path may lack "/dev" (swapinfo.h says
 * when). */
const char *blockdev_name(const char *path);

/* NAME without "/dev/", in all of these. */
bool blockdev_exists(const char *name);
uint64_t blockdev_size_bytes(const char *name);
/* Of the device PATH, by its number where PATH is a device node, else by its
 * name.  0: it is gone, or has lost its size. */
uint64_t blockdev_path_size_bytes(const char *path);
/* The first line of the FILE of the device; "" where there is none. */
void blockdev_text(const char *name, const char *file, char *text, size_t size);
void blockdev_in_flight(const char *name, uint64_t *reads, uint64_t *writes);
/* The kernel's queues of the device; 0: unknown. */
unsigned blockdev_queues(const char *name);

void blockdev_read_stack(const char *name, struct blockdev_stack *stack);

/* Whether PATH is this device: by its number where PATH is a device node, and
 * by name.  A path may lack "/dev" (swapinfo.h says when). */
bool blockdev_is(const struct blockdev *device, const char *path);

#endif
