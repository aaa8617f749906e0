#include "size.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char units[] = "KMGT";

/* Digits at *TEXT, and where they end. */
static bool parse_digits(const char **text, uint64_t *n)
{
	const char *p = *text;
	uint64_t value = 0;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return false;
	}
	*text = p;
	*n = value;
	return true;
}

bool size_parse(const char *text, uint64_t *bytes)
{
	uint64_t value;
	unsigned shift = 0;

	if (!parse_digits(&text, &value))
		return false;
	if (*text) {
		const char *unit = strchr(units, toupper((unsigned char)*text));

		if (!unit || text[1])
			return false;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (value > (uint64_t)INT64_MAX >> shift)
		return false;
	*bytes = value << shift;
	return true;
}

bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *n)
{
	uint64_t value;

	if (!parse_digits(&text, &value) || *text || value < min || value > max)
		return false;
	*n = value;
	return true;
}

struct size_text size_format(uint64_t bytes)
{
	struct size_text out;
	char unit[2] = "";

	for (size_t i = 0; units[i] && bytes && bytes % 1024 == 0; i++) {
		bytes /= 1024;
		unit[0] = units[i];
	}
	snprintf(out.text, sizeof out.text, "%" PRIu64 "%s", bytes, unit);
	return out;
}
