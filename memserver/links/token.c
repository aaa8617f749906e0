#include "token.h"

#include <sys/random.h>

#include "log.h"

bool token_draw(uint8_t token[WIRE_TOKEN_BYTES])
{
	if (getrandom(token, WIRE_TOKEN_BYTES, 0) == WIRE_TOKEN_BYTES)
		return true;
	log_error("cannot draw random numbers for a token");
	return false;
}

bool token_same(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t differ = 0;

	for (unsigned i = 0; i < WIRE_TOKEN_BYTES; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}
