/* The token by which a client resumes its session.
 *
 * Each RESUME gives the client a new token, so that a token that was seen once
 * is worth nothing later.  RESUMED, which tells the new token, may be lost with
 * its connection.  Then the client has the previous token only.  So the
 * previous token also resumes the session, until the client shows that RESUMED
 * came: it sends another message on that connection.
 *
 * A RESUME with the previous token may itself be late: the client gave up its
 * connection, and has resumed over another one meanwhile.  The client goes on
 * with the token that it was told there, so that one stays good as well.
 *
 * Main loop only. */
#ifndef RSWAP_RESUMPTION_H
#define RSWAP_RESUMPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

struct resumption {
	uint8_t token[WIRE_TOKEN_BYTES]; /* the newest */
	/* While `unconfirmed`: the one that was presented last, and the newest
	 * one at that time, often the same. */
	uint8_t previous[WIRE_TOKEN_BYTES];
	uint8_t replaced[WIRE_TOKEN_BYTES];
	bool unconfirmed; /* the client may not have the newest */
};

/* Draws the first token.  False when there are no random numbers. */
bool resumption_open(struct resumption *resumption);

/* Whether TOKEN resumes the session.  If so there is a new token, which the
 * client is to be told. */
bool resumption_take(struct resumption *resumption, const uint8_t *token);

/* The client has the newest token. */
void resumption_confirm(struct resumption *resumption);

#endif
