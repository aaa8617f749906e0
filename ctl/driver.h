/* The kernel's drivers of swap devices.  One file a driver, driver_*.c, tells
 * what is different; attach, detach, status and doctor ask the driver, and
 * never which one it is.  A device has a number: 3 of /dev/nbd3. */
#ifndef RSWAPCTL_DRIVER_H
#define RSWAPCTL_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define DRIVER_IDENTITY_MAX 256

/* A front end, and the device that it is to have.  Paths are absolute. */
struct driver_link {
	const char *program; /* of the front end, for messages */
	const char *socket;  /* NBD, where the driver is nbd */
	const char *control; /* the control socket */
	const char *pidfile; /* made once it serves (nbdkit: before) */
	int number;	     /* of the device; -1: any */
	uint64_t size_bytes;
	unsigned connections;
	unsigned timeout_s; /* of a request, as attach has it */
};

struct driver {
	const char *name;
	const char *prefix; /* of its devices' names: "nbd", "ublkb" */
	int numbers;	    /* the highest one, plus one */
	/* The front end makes the device when it starts, and the device ends
	 * with it. */
	bool made_by_front;
	/* swapoff works also where no front end serves the device any more. */
	bool swap_ends;
	/* How a front end that runs has lost its device: "as after ..." */
	const char *cut;

	/* Whether this kernel has the driver, or can load it. */
	bool (*is_there)(struct error *why);
	/* The STATE of driver and devices, for doctor.  False with a REMEDY if
	 * there is no device to be had. */
	bool (*diagnose)(struct error *state, const char **remedy);
	/* Loads the driver if the kernel has not.  0 or -1. */
	int (*load)(uint64_t deadline_ns, struct error *why);
	/* Whether attach may be told to take this number, free or not. */
	bool (*may_name)(int number, struct error *why);
	/* Whether a front end can have this number.  False with WHY. */
	bool (*is_free)(int number, struct error *why);

	/* Whether the front end serves already: then the engine is ready too.
	 * Waits for its answer until DEADLINE_NS.  0 or -1. */
	int (*greet)(const struct driver_link *link, uint64_t deadline_ns);
	/* Connects the front end to its device.  The device's number; or -1
	 * with WHY, and *BUSY where another program took the device. */
	int (*connect)(const struct driver_link *link, uint64_t deadline_ns,
		       bool *busy, struct error *why);
	/* The device of the front end with these sockets, or -1. */
	int (*find)(const char *socket, const char *control);

	/* Whether the device has a front end, of whatever program. */
	bool (*is_connected)(int number);
	/* By this text rswapctl recognizes its own device: it names the
	 * connection, or the device since it was made.  "": unknown. */
	void (*identify)(int number, char identity[DRIVER_IDENTITY_MAX]);
	/* As many connections should the front end have; 0: unknown. */
	unsigned (*connections)(int number);
	/* Whether a request may go to a connection that gets no replies, as the
	 * kernel serves another one only.  NULL: it cannot. */
	bool (*is_cut_off)(int number);

	/* Takes the front end away from its device, also under a user: see
	 * teardown.h before calling this.  0 or -1. NULL: the front end does
	 * that, when it is asked to end and nobody uses the device. */
	int (*disconnect)(int number, struct error *why);
	/* Takes away what a front end that is gone has left of the device
	 * NUMBER.  PROGRAM: the path of the front end's program.  0 or -1. */
	int (*sweep)(int number, const char *program, struct error *why);
};

extern const struct driver driver_nbd, driver_ublk;

/* The driver of the device PATH, as "/dev/nbd3", and its number; or NULL. */
const struct driver *driver_of(const char *path, int *number);

struct driver_name {
	char text[24];
};

/* "nbd3" */
struct driver_name driver_device(const struct driver *driver, int number);

/* Waits until the device is CONNECTED and has a size, or is not and has none.
 */
bool driver_wait(const struct driver *driver, int number, bool connected,
		 uint64_t deadline_ns);

#endif
