/* A thread beside a program's work, such as the writer of the log: it may wait
 * for other programs, so it must not stand in the way of threads that serve. */
#ifndef RSWAP_HELPER_H
#define RSWAP_HELPER_H

#include <pthread.h>
#include <stddef.h>

/* Starts a thread that runs MAIN with ARG.  The thread has no real-time
 * priority, also where the caller has, takes no signals, and has no
 * capabilities.  When this returns, the thread has given them up.  NAME has at
 * most 15 characters. 0 or an errno. */
int helper_start(pthread_t *thread, const char *name, void *(*main)(void *arg),
		 void *arg);
/* The same with a stack of STACK_BYTES; 0: of the usual size. */
int helper_start_small(pthread_t *thread, const char *name, size_t stack_bytes,
		       void *(*main)(void *arg), void *arg);

#endif
