#include "private_data.h"

_Static_assert(sizeof(struct wire_header) + sizeof(struct wire_join) <=
		       PRIVATE_DATA_REQUEST_MAX,
	       "JOIN as private data");
_Static_assert(sizeof(struct wire_header) + sizeof(struct wire_error) <=
		       PRIVATE_DATA_REJECT_MAX,
	       "ERROR as private data");

enum wire_verdict private_data_decode(const void *data, size_t bytes,
				      enum wire_type type,
				      struct wire_message *message)
{
	struct wire_header h;
	enum wire_verdict verdict;

	*message = (struct wire_message){ .type = type };
	if (bytes < sizeof h)
		return WIRE_BAD_LENGTH;
	verdict = wire_decode_header(data, &h);
	if (verdict != WIRE_OK)
		return verdict;
	message->cookie = h.cookie;
	if (h.type != type)
		return WIRE_BAD_TYPE;
	if (bytes - sizeof h < h.body_bytes)
		return WIRE_BAD_LENGTH;
	return wire_decode_body(&h, (const char *)data + sizeof h, message);
}
