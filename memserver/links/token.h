/* Random tokens: one joins a connection to a session, one resumes a session. */
#ifndef RSWAP_MEMSERVER_TOKEN_H
#define RSWAP_MEMSERVER_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

/* False, and a log line, when the kernel gives no random numbers. */
bool token_draw(uint8_t token[WIRE_TOKEN_BYTES]);

/* Takes the same time wherever the tokens differ, so that the time does not
 * tell a client how much of a guess was right. */
bool token_same(const uint8_t *a, const uint8_t *b);

#endif
