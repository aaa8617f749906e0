/* Limits: what a session, a client and all clients together may have of what
 * this server has only so much of.
 *
 * An account counts, and has a limit for each thing that is counted.  Accounts
 * stand above each other: what a session takes counts for its client too, and
 * for the server.  So one session does not use up what its client may have, and
 * one client leaves something for the others.
 *
 *   the server's account    limits in total
 *     a client's account    session/accounts.h says what a client is
 *       a session's account struct owner has it
 *
 * Main loop only. */
#ifndef RSWAP_MEMSERVER_ACCOUNT_H
#define RSWAP_MEMSERVER_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum limited {
	LIMITED_SESSIONS,
	LIMITED_LANES, /* that OPEN asked for */
	LIMITED_FILES, /* descriptors that these lanes need */
	LIMITED_ASKED, /* ALLOCs without an answer */
	LIMITED_SPARE, /* registered slabs that nobody has asked for yet */
	LIMITED_HELD,  /* freed slabs that a lane still uses */
	N_LIMITED
};

struct account {
	const char *whose;  /* "one session", for messages */
	struct account *up; /* NULL: the server's */
	uint64_t used[N_LIMITED];
	uint64_t most[N_LIMITED];
};

/* Takes N of WHAT for ACCOUNT and for the accounts above.  False, and WHY names
 * the limit and its value, when that would exceed a limit of one of them:
 * nothing is taken. */
bool account_take(struct account *account, enum limited what, uint64_t n,
		  struct error *why);
void account_give(struct account *account, enum limited what, uint64_t n);

/* Counts one more of WHAT, also beyond the limits: the client cannot be refused
 * what it has already. */
void account_count(struct account *account, enum limited what);
/* Whether ACCOUNT, or one above it, has as many of WHAT as it may. */
bool account_is_full(const struct account *account, enum limited what,
		     struct error *why);

#endif
