/* The private data of an RDMA connection request, as the memory server reads
 * it, and of a rejection, as the plugin does (common/private_data.c). */
#include <string.h>

#include "fuzz.h"
#include "private_data.h"

/* What passed is the message that the bytes begin with, whole. */
static void check(const uint8_t *data, size_t size,
		  const struct wire_message *m, uint16_t type)
{
	uint8_t again[WIRE_MESSAGE_MAX];
	size_t n = wire_encode(m, again);

	REQUIRE(m->type == type && n <= size && !memcmp(again, data, n));
	if (type == WIRE_JOIN)
		REQUIRE(!m->join.reserved);
	else
		REQUIRE(*m->error.text && !strchr(m->error.text, '\n') &&
			strnlen(m->error.text, WIRE_ERROR_TEXT_BYTES) <
				WIRE_ERROR_TEXT_BYTES);
}

static void decode(const uint8_t *data, size_t size, enum wire_type type)
{
	struct wire_message m;
	enum wire_verdict verdict = private_data_decode(data, size, type, &m);

	if (verdict == WIRE_OK)
		check(data, size, &m, type);
	else
		REQUIRE(!m.cookie || size >= sizeof(struct wire_header));
	REQUIRE(*wire_verdict_text(verdict));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	decode(data, size, WIRE_JOIN);
	decode(data, size, WIRE_ERROR);
	return 0;
}
