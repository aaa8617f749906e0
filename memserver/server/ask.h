/* Questions to the main loop from other threads: what the main loop knows needs
 * no lock, because the main loop itself writes the answer. */
#ifndef RSWAP_ASK_H
#define RSWAP_ASK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "loops/mail.h"
#include "server.h"

typedef void ask_fill(struct server *server, FILE *out);

/* For one thread that asks.  `lock` protects fill, answered, closed and text.
 */
struct ask {
	struct server *server;
	pthread_mutex_t lock;
	pthread_cond_t change;
	struct mail mail;
	ask_fill *fill;
	bool answered;
	bool closed;
	char *text; /* NULL: out of memory */
	size_t text_bytes;
};

void ask_open(struct ask *ask, struct server *server);

/* Has the main loop call FILL, and writes to OUT (NULL: nowhere) what it
 * writes.  False, and nothing is written, if memory is short or ask_close was
 * called.  The asking thread. */
bool ask_main_loop(struct ask *ask, ask_fill *fill, FILE *out);

/* The asking thread waits no longer.  Any thread. */
void ask_close(struct ask *ask);
/* The asking thread has ended.  Main thread; its loop need not run. */
void ask_free(struct ask *ask);

#endif
