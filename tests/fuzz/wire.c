/* Control messages and data frames, decoded (common/wire.c). */
#include <string.h>

#include "fuzz.h"
#include "wire.h"

/* A name, zone or text that passed is a string of its field. */
static void check_texts(const struct wire_message *m)
{
	if (m->type == WIRE_HELLO) {
		REQUIRE(strnlen(m->hello.name, WIRE_NAME_BYTES) <
			WIRE_NAME_BYTES);
		REQUIRE(wire_name_ok(m->hello.name));
	} else if (m->type == WIRE_WELCOME) {
		REQUIRE(strnlen(m->welcome.zone, WIRE_ZONE_BYTES) <
			WIRE_ZONE_BYTES);
		REQUIRE(m->welcome.slab_bytes);
	} else if (m->type == WIRE_ERROR) {
		REQUIRE(strnlen(m->error.text, WIRE_ERROR_TEXT_BYTES) <
			WIRE_ERROR_TEXT_BYTES);
		REQUIRE(!strchr(m->error.text, '\n'));
	}
}

static void decode_message(const uint8_t *data, size_t size)
{
	uint8_t again[WIRE_MESSAGE_MAX];
	struct wire_message m;
	struct wire_header h;
	enum wire_verdict verdict;

	if (size < sizeof h)
		return;
	verdict = wire_decode_header(data, &h);
	REQUIRE(*wire_verdict_text(verdict) && *wire_type_name(h.type));
	if (verdict != WIRE_OK)
		return;
	REQUIRE(h.body_bytes <= WIRE_BODY_MAX);
	if (size - sizeof h < h.body_bytes ||
	    wire_decode_body(&h, data + sizeof h, &m) != WIRE_OK)
		return;
	check_texts(&m);
	REQUIRE(wire_encode(&m, again) == sizeof h + h.body_bytes);
	REQUIRE(!memcmp(again, data, sizeof h + h.body_bytes));
}

static void decode_frames(const uint8_t *data, size_t size)
{
	struct wire_data_request request;
	struct wire_data_reply reply;

	if (size >= sizeof request &&
	    wire_decode_request(data, &request) == WIRE_OK)
		REQUIRE(request.bytes > 0 &&
			request.bytes <= WIRE_DATA_MAX_BYTES);
	if (size >= sizeof reply && wire_decode_reply(data, &reply) == WIRE_OK)
		REQUIRE(reply.bytes <= WIRE_DATA_MAX_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	decode_message(data, size);
	decode_frames(data, size);
	return 0;
}
