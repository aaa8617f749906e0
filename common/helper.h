/* A thread beside a program's work, such as the writer of the log: it may wait
 * for other programs, so it must not stand in the way of threads that serve. */
#ifndef RSWAP_HELPER_H
#define RSWAP_HELPER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct helper {
	const char *name; /* at most 15 characters */
	void *(*main)(void *arg);
	void *arg;
	size_t stack_bytes; /* or the least that a thread needs; 0: as usual */
	bool maps;	    /* memory that is locked: it keeps CAP_IPC_LOCK */
};

/* Starts a thread.  The thread has no real-time priority, also where the caller
 * has, takes no signals, and has no capabilities but that for what it maps.
 * When this returns, the thread has given them up, and HELPER is not used any
 * more.  0 or an errno. */
int helper_start_as(pthread_t *thread, const struct helper *helper);
/* The same for MAIN with ARG, and nothing else. */
int helper_start(pthread_t *thread, const char *name, void *(*main)(void *arg),
		 void *arg);

#endif
