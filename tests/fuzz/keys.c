/* The plugin's keys (plugin/service/config.c): each line of the input is
 * KEY=VALUE. */
#include <string.h>

#include "fuzz.h"
#include "service/config.h"

/* What the engine may take for granted. */
static void check(const struct config *config)
{
	const struct engine_config *e = &config->engine;

	REQUIRE((e->n_servers >= 1 || *config->pool.name) &&
		e->n_servers <= SLAB_SERVERS_MAX);
	REQUIRE(e->size_bytes >= 4096 && e->size_bytes % 4096 == 0 &&
		e->size_bytes <= KEYS_SIZE_MAX_BYTES);
	REQUIRE(e->lanes >= 1 && e->lanes <= 256);
	REQUIRE(e->timeout_ns > 0);
	REQUIRE(redundancy_shards(&e->redundancy) <=
		(e->servers_max ? e->servers_max : e->n_servers));
	for (uint32_t i = 0; i < e->n_servers; i++)
		REQUIRE(e->servers[i].port && *e->servers[i].host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size), *at = text, *line;
	struct config config = { 0 };
	int failed = 0;

	while (!failed && (line = text_line(&at))) {
		char *value = strchr(line, '=');

		if (value)
			*value++ = '\0';
		failed = config_key(&config, line, value ? value : "");
	}
	if (!failed)
		failed = config_complete(&config);
	if (!failed)
		check(&config);
	/* one message says what is wrong */
	REQUIRE(!*config.why == !failed);
	config_free(&config);
	free(text);
	return 0;
}
