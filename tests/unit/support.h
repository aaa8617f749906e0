/* What the unit tests share. */
#ifndef RSWAP_TEST_SUPPORT_H
#define RSWAP_TEST_SUPPORT_H

/* cmocka.h wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "wire.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* A deadline that passes only in a test that hangs. */
#define LONG_MS 20000

/* The point in time MS from now. */
uint64_t after_ms(uint64_t ms);
void sleep_ms(unsigned ms);
/* Until every other thread of the process sleeps: whatever was begun has gone
 * as far as it can.  Any thread may call it, one at a time. */
void wait_until_asleep(void);

/* Pseudo-random numbers.  The seed is RSWAP_TEST_SEED of the environment, or
 * drawn; it is printed, so that a failure can be repeated. */
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);
void random_fill(uint64_t *state, void *buf, size_t bytes);

/* The threads of a test.  Assertions belong to the main thread alone: others
 * report through what ARG points to. */
pthread_t thread_start(void *(*run)(void *arg), void *arg);
void thread_end(pthread_t thread);

/* Fails unless HAYSTACK contains NEEDLE, and shows both. */
void assert_contains(const char *haystack, const char *needle);

/* A link's new_token (transport.h): always session 7, lane 3. */
int test_token(void *owner, struct wire_join *token, struct error *why);

/* From here on log lines go nowhere: failures are provoked. */
void quiet_log(void);

#endif
