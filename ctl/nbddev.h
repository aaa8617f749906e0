/* The kernel's nbd devices, as sysfs shows them. */
#ifndef RSWAPCTL_NBDDEV_H
#define RSWAPCTL_NBDDEV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* The highest number of an nbd device, plus one. */
#define NBDDEV_MAX 1024

/* The N of "/dev/nbdN" (a whole device, no partition), or -1. */
int nbddev_number(const char *path);

/* Whether the kernel has such a device at all. */
bool nbddev_exists(int number);

/* Whether it is connected; a device that doesn't exist isn't. */
bool nbddev_connected(int number);

uint64_t nbddev_size_bytes(int number);

/* Whether the device is unused: no pid, no size, no request in flight, no
 * holder.  If it is used, WHY tells by what. */
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

/* Waits until the device is CONNECTED (or not) and has a size (or none). */
bool nbddev_wait(int number, bool connected, uint64_t deadline_ns);

/* Sets the block queue for swap.  False if the kernel refused a setting, with
 * the last one in WHY: the device works, but slower. */
bool nbddev_tune(int number, struct error *why);

#endif
