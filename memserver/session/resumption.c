#include "resumption.h"

#include <string.h>

#include "links/token.h"

bool resumption_open(struct resumption *resumption)
{
	resumption->unconfirmed = false;
	return token_draw(resumption->token);
}

bool resumption_take(struct resumption *resumption, const uint8_t *token)
{
	uint8_t next[WIRE_TOKEN_BYTES];
	bool newest = token_same(resumption->token, token);

	if (!newest && !(resumption->unconfirmed &&
			 token_same(resumption->previous, token)))
		return false;
	/* Without random numbers the client goes on with the token that it
	 * has: to refuse it would cost it all of its pages. */
	if (!token_draw(next))
		memcpy(next, token, sizeof next);
	memcpy(resumption->previous, token, sizeof resumption->previous);
	memcpy(resumption->token, next, sizeof resumption->token);
	resumption->unconfirmed = true;
	return true;
}

void resumption_confirm(struct resumption *resumption)
{
	resumption->unconfirmed = false;
}
