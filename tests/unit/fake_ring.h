/* The memory of a ring of io_uring, without a kernel behind it: liburing's
 * inline functions work on it.  Its descriptor is an eventfd, which is readable
 * once something was posted. */
#ifndef RSWAP_TEST_FAKE_RING_H
#define RSWAP_TEST_FAKE_RING_H

#include <liburing.h>
#include <stdint.h>

void fake_ring_init(struct io_uring *ring, unsigned entries, unsigned flags);
void fake_ring_exit(struct io_uring *ring);

/* A command has ended.  One thread at a time. */
void fake_ring_post(struct io_uring *ring, uint64_t user_data, int res);

/* The next command that was submitted, or NULL. */
const struct io_uring_sqe *fake_ring_take(struct io_uring *ring);

#endif
