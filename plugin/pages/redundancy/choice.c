/* Which kind of redundancy a user asks for. */
#include "redundancy.h"

#include <stdio.h>
#include <string.h>

#include "size.h"

uint32_t redundancy_shards(const struct redundancy_config *config)
{
	return config->data ? config->data + config->parity : config->copies;
}

uint32_t redundancy_chunk_bytes(const struct redundancy_config *config,
				uint32_t unit_bytes)
{
	return config->data
		       ? redundancy_rs_chunk_bytes(unit_bytes, config->data)
		       : unit_bytes;
}

struct redundancy_text redundancy_format(const struct redundancy_config *config)
{
	struct redundancy_text text = { config->data ? "redundancy"
						     : "replicas",
					"" };

	if (config->data)
		snprintf(text.value, sizeof text.value, "%u+%u", config->data,
			 config->parity);
	else
		snprintf(text.value, sizeof text.value, "%u", config->copies);
	return text;
}

int redundancy_create(struct redundancy *r,
		      const struct redundancy_config *config,
		      uint32_t unit_bytes, struct error *why)
{
	return config->data ? redundancy_create_rs(r, unit_bytes, config->data,
						   config->parity, why)
			    : redundancy_create_copies(r, unit_bytes,
						       config->copies, why);
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
