/* How many requests are in flight at a time, and what follows from it: lanes,
 * and nbdkit's threads.  The front ends, the lanes and rswapctl attach take it
 * from here, so that these parts fit each other.
 *
 * nbdkit has THREADS for each connection of its client, and a thread for each
 * request.  Where all of them write, each finds a lane.  More lanes than that
 * stay unused.  With fewer lanes requests wait although each has a thread.
 *
 * Any thread. */
#ifndef RSWAP_CONCURRENCY_H
#define RSWAP_CONCURRENCY_H

#include <stdint.h>

/* Between the kernel and a front end, unless the user says otherwise; and the
 * most that rswapctl attach makes. */
#define CONCURRENCY_CONNECTIONS	    2u
#define CONCURRENCY_CONNECTIONS_MAX 16u

/* The most that lanes= allows. */
#define CONCURRENCY_LANES_MAX 256u

/* How many processors this process may run on, at least 1. */
unsigned concurrency_processors(void);

/* The memory of this machine. */
uint64_t concurrency_memory_bytes(void);

/* Each request in flight takes about 300 KiB, with its lane, its stack and its
 * buffer, and all of that is locked.  Requests get about a thirtieth of the
 * memory at most, so that a machine of 128 MB can still attach. */
#define CONCURRENCY_REQUEST_MEMORY_BYTES (UINT64_C(8) << 20)

/* How many requests a front end has in flight on a machine of so many
 * PROCESSORS and so much memory, unless the user says otherwise. */
unsigned concurrency_requests(unsigned processors, uint64_t memory_bytes);

/* The same for this machine. */
unsigned concurrency_requests_here(void);

/* How many of so many LANES writes may hold.  Reads keep a quarter to
 * themselves, and at least one where there are two. */
unsigned concurrency_writes(unsigned lanes);

/* The fewest lanes of which so many writes get one each, at most
 * CONCURRENCY_LANES_MAX. */
unsigned concurrency_lanes(unsigned requests);

/* nbdkit's threads (-t), which nbdkit has for each of so many CONNECTIONS.
 * The requests in flight are this times CONNECTIONS, which may be more than
 * REQUESTS. */
unsigned concurrency_threads(unsigned requests, unsigned connections);

#endif
