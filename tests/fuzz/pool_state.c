/* The file of the servers of a pool (pool/members_file.c), of pool blue. */
#include <string.h>

#include "fuzz.h"
#include "members.h"

static char *write_members(const struct members *members)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	REQUIRE(out);
	REQUIRE(members_write(members, "blue", out));
	REQUIRE(!fclose(out));
	return text;
}

/* What was taken is in the order of the addresses, each of them once; and is
 * written, taken again and written as the same. */
static void check(const struct members *members)
{
	struct members again = { .n = 0 };
	char *first = write_members(members), *copy = strdup(first), *second;
	struct error why;

	for (unsigned i = 1; i < members->n; i++)
		REQUIRE(strcmp(members->entries[i - 1].address.text,
			       members->entries[i].address.text) < 0);
	REQUIRE(!members_read(&again, "blue", copy, &why));
	second = write_members(&again);
	REQUIRE(!strcmp(first, second));
	free(again.entries);
	free(first);
	free(copy);
	free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);
	struct members members = { .n = 0 };
	struct error why = { "" };

	if (!members_read(&members, "blue", text, &why))
		check(&members);
	else
		REQUIRE(*why.text);
	free(members.entries);
	free(text);
	return 0;
}
