/* Requests must be whole pages.  An NBD server only advises its clients of the
 * block size, so other requests arrive. */
#ifndef RSWAP_ALIGNED_H
#define RSWAP_ALIGNED_H

#include <stdbool.h>
#include <stdint.h>

/* Whether COUNT bytes at OFFSET are whole pages.  Where they are not, the log
 * tells of the first such request, WHAT: a client that sends one sends many.
 * Any thread. */
bool aligned(const char *what, uint64_t count, uint64_t offset);

#endif
