/* Waiting for the end of a thread, with a deadline. */
#ifndef RSWAP_JOIN_H
#define RSWAP_JOIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Waits until THREAD has ended, and frees what is left of it, as pthread_join
 * does.  False at DEADLINE_NS (clock.h): the thread goes on, and can be waited
 * for again.  One thread at a time may wait for THREAD. */
bool join_until(pthread_t thread, uint64_t deadline_ns);

#endif
