#include "resumption.h"

#include <string.h>

#include "links/token.h"

bool resumption_open(struct resumption *resumption)
{
	resumption->unconfirmed = false;
	return token_draw(resumption->token);
}

/* Whether the client may have no newer one than TOKEN. */
static bool is_before(const struct resumption *resumption, const uint8_t *token)
{
	bool previous = token_same(resumption->previous, token);
	bool replaced = token_same(resumption->replaced, token);

	return resumption->unconfirmed && (previous || replaced);
}

bool resumption_take(struct resumption *resumption, const uint8_t *token)
{
	uint8_t next[WIRE_TOKEN_BYTES];

	if (!token_same(resumption->token, token) &&
	    !is_before(resumption, token))
		return false;
	/* Without random numbers the client goes on with the token that it
	 * has: to refuse it would cost it all of its pages. */
	if (!token_draw(next))
		memcpy(next, token, sizeof next);
	memcpy(resumption->replaced, resumption->token,
	       sizeof resumption->replaced);
	memcpy(resumption->previous, token, sizeof resumption->previous);
	memcpy(resumption->token, next, sizeof resumption->token);
	resumption->unconfirmed = true;
	return true;
}

void resumption_confirm(struct resumption *resumption)
{
	resumption->unconfirmed = false;
}
