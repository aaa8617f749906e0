/* The kernel's nbd devices, as sysfs shows them. */
#ifndef RSWAPCTL_NBDDEV_H
#define RSWAPCTL_NBDDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* The highest number of an nbd device, plus one. */
#define NBDDEV_MAX 1024

struct nbddev_name {
	char text[16];
};

/* "nbd3" */
struct nbddev_name nbddev_name(int number);

/* Whether the kernel has such a device at all. */
bool nbddev_exists(int number);

/* Whether it is connected; a device that doesn't exist isn't. */
bool nbddev_connected(int number);

/* Whether the device is unused: no pid, no size, no request in flight, no
 * holder.  If it is used, WHY tells by what.  A device that does not exist is
 * unused: the kernel makes it. */
bool nbddev_is_free(int number, struct error *why);

/* The first of the kernel's devices that is free, or -1. */
int nbddev_find_free(void);

/* Writes the name of the device's connection (nbd_netlink_connect) to TEXT of
 * SIZE bytes; "" if it has none, or the kernel does not show it. */
void nbddev_backend(int number, char *text, size_t size);

/* The device whose connection has this name, or -1. */
int nbddev_find_backend(const char *backend);

/* How many nbd devices the kernel has. */
int nbddev_count(void);

/* Loads the module if the kernel has no nbd device yet. 0 or -1. */
int nbddev_load(uint64_t deadline_ns, struct error *why);

#endif
