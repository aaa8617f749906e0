/* A block device of the kernel's ublk driver: how it comes to be and how it
 * ends.  The order of commands, all flags and all limits of the device are in
 * control.c, and nowhere else:
 *
 *   control_open     is there a driver?
 *   control_add      /dev/ublkcN is there: queue.c opens the queues, each on
 *                    its own thread, and fetches on all of them
 *   control_start    /dev/ublkbN is there, and requests come
 *   control_claim    is the device in use?
 *   control_stop     the queues have answered all requests, and no more come
 *   control_delete   N is free again
 *
 * One thread calls these functions, after service_start: the capabilities that
 * this process has when it sends its first command decide about all others. */
#ifndef RSWAP_UBLK_CONTROL_H
#define RSWAP_UBLK_CONTROL_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "kernel.h"

/* The most bytes of a request. */
#define CONTROL_IO_BYTES (128u << 10)

#define CONTROL_PATH_BYTES     32
#define CONTROL_ARGUMENT_BYTES (CONTROL_PATH_BYTES + 64)

struct control {
	int fd;	      /* of UBLK_CONTROL_PATH, or -1 */
	int char_fd;  /* of /dev/ublkcN, or -1 */
	int block_fd; /* of /dev/ublkbN while it is claimed, or -1 */
	struct io_uring ring;
	bool has_ring;
	uint64_t commands; /* sent */
	/* The argument of the last one, which the kernel may still use when
	 * this process waits no more. */
	char argument[CONTROL_ARGUMENT_BYTES];
	bool added;
	uint32_t id; /* N */
	uint16_t queues, depth;
	uint64_t flags; /* as the kernel granted them */
	char char_path[CONTROL_PATH_BYTES], block_path[CONTROL_PATH_BYTES];
};

struct control_shape {
	uint32_t id; /* or UBLK_ANY_ID */
	uint16_t queues, depth;
	uint64_t size_bytes;
};

/* 0 or a negative errno. */
int control_open(struct control *control, struct error *why);
/* Also closes /dev/ublkcN and /dev/ublkbN.  What was added stays. */
void control_close(struct control *control);

/* Adds the device.  One that a killed process left with the same id is deleted
 * first.  Fills id, paths, depth and queues, which the kernel may have made
 * less than in SHAPE.  0 or a negative errno. */
int control_add(struct control *control, const struct control_shape *shape,
		struct error *why);
/* Returns once all queues have fetched.  0 or a negative errno. */
int control_start(struct control *control, struct error *why);

/* Claims the block device, as mount(8) and swapon(8) do, until control_stop.
 * True if it is claimed.  False with WHY if it is in use. */
bool control_claim(struct control *control, struct error *why);

/* Ends the device: false if the kernel does not end it.  The queues go on until
 * all their FETCHes have ended. */
bool control_stop(struct control *control, struct error *why);
/* Deletes the device that was added. */
bool control_delete(struct control *control, struct error *why);

/* Deletes the device ID, if the process that served it is gone.  After
 * control_open alone.  0 or a negative errno. */
int control_delete_left(struct control *control, uint32_t id,
			struct error *why);

#endif
