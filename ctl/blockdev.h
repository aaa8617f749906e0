/* The devices that stand on a block device, as sysfs shows them: its
 * partitions, the devices that device mapper and md made of it, and so on
 * upwards. */
#ifndef RSWAPCTL_BLOCKDEV_H
#define RSWAPCTL_BLOCKDEV_H

#include <stdbool.h>
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

/* NAME without "/dev/". */
void blockdev_read_stack(const char *name, struct blockdev_stack *stack);

/* Whether PATH is this device: by its number where PATH is a device node, and
 * by name.  A path may lack "/dev" (swapinfo.h says when). */
bool blockdev_is(const struct blockdev *device, const char *path);

#endif
