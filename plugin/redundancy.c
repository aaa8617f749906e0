/* What does not depend on the kind of redundancy. */
#include "redundancy.h"

#include <string.h>

#include "size.h"

void redundancy_destroy(struct redundancy *r)
{
	if (r->ops)
		r->ops->destroy(r);
	*r = (struct redundancy){ 0 };
}

bool redundancy_parse(const char *text, uint32_t *k, uint32_t *m)
{
	const char *plus = strchr(text, '+');
	char data[4];
	uint64_t d, p;

	if (!plus || (size_t)(plus - text) >= sizeof data)
		return false;
	memcpy(data, text, (size_t)(plus - text));
	data[plus - text] = '\0';
	if (!number_parse(data, REDUNDANCY_MIN_DATA, REDUNDANCY_MAX_DATA, &d) ||
	    !number_parse(plus + 1, REDUNDANCY_MIN_PARITY,
			  REDUNDANCY_MAX_PARITY, &p))
		return false;
	*k = (uint32_t)d;
	*m = (uint32_t)p;
	return true;
}
