/* The state file of an attached device, as rswapctl reads it back
 * (ctl/statedir.c). */
#include <string.h>

#include "fuzz.h"
#include "statedir.h"

static const uint8_t *file_data;
static size_t file_bytes;

/* statedir.c's. */
FILE *__wrap_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	(void)path, (void)mode;
	return fuzz_open(file_data, file_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state state;
	struct error why;
	char *name = input_text(data, size);

	file_data = data;
	file_bytes = size;
	REQUIRE(!statedir_load("swap0", &state, &why));
	REQUIRE(!strcmp(state.name, "swap0"));
	REQUIRE(strlen(state.device) < sizeof state.device);
	REQUIRE(strlen(state.identity) < sizeof state.identity);
	REQUIRE(strlen(state.servers) < sizeof state.servers);
	REQUIRE(!strpbrk(state.device, "\n") && !strpbrk(state.servers, "\n"));
	/* a name that passes is one that its path has room for */
	if (statedir_name_ok(name))
		REQUIRE(strlen(name) <= STATE_NAME_MAX && !strchr(name, '/'));
	free(name);
	return 0;
}
