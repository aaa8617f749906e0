/* The values by which memory of a pool is promised (pool/reservation.c), and
 * the factor of an operator. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "reservation.h"

/* What is taken is written, and then taken as the same. */
static void check_reservation(const struct reservation *r)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);
	struct reservation again;
	struct error why;

	REQUIRE(out && *r->identity && r->bytes);
	reservation_write(r, out);
	REQUIRE(!fclose(out));
	REQUIRE(!reservation_parse(text, &again, &why));
	REQUIRE(!memcmp(r, &again, sizeof again));
	free(text);
}

static void check_permille(uint32_t permille)
{
	REQUIRE(permille >= SETTINGS_OVERCOMMIT_MIN &&
		permille <= SETTINGS_OVERCOMMIT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	struct reservation reservation;
	struct pool_settings settings;
	struct error why = { "" };
	uint64_t bytes;
	uint32_t permille;

	if (!reservation_parse(text, &reservation, &why))
		check_reservation(&reservation);
	else
		REQUIRE(*why.text);
	if (!quota_parse(text, &bytes, &why))
		REQUIRE(bytes <= INT64_MAX);
	(void)settings_parse(text, &settings, &why);
	check_permille(settings.overcommit_permille);
	if (overcommit_parse(text, &permille))
		check_permille(permille);
	free(text);
	return 0;
}
