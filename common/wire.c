#include "wire.h"

#include <stdbool.h>
#include <string.h>

static const struct {
	const char *name;
	int body_bytes;
} types[WIRE_TYPE_END] = {
	[0] = { NULL, -1 },
	[WIRE_HELLO] = { "HELLO", sizeof(struct wire_hello) },
	[WIRE_WELCOME] = { "WELCOME", sizeof(struct wire_welcome) },
	[WIRE_OPEN] = { "OPEN", sizeof(struct wire_open) },
	[WIRE_OPENED] = { "OPENED", sizeof(struct wire_opened) },
	[WIRE_LANE] = { "LANE", 0 },
	[WIRE_TOKEN] = { "TOKEN", sizeof(struct wire_token) },
	[WIRE_JOIN] = { "JOIN", sizeof(struct wire_join) },
	[WIRE_JOINED] = { "JOINED", sizeof(struct wire_joined) },
	[WIRE_ALLOC] = { "ALLOC", sizeof(struct wire_alloc) },
	[WIRE_SLAB] = { "SLAB", sizeof(struct wire_slab) },
	[WIRE_FREE] = { "FREE", sizeof(struct wire_free) },
	[WIRE_FREED] = { "FREED", sizeof(struct wire_freed) },
	[WIRE_FENCE] = { "FENCE", 0 },
	[WIRE_FENCED] = { "FENCED", sizeof(struct wire_fenced) },
	[WIRE_PING] = { "PING", 0 },
	[WIRE_PONG] = { "PONG", sizeof(struct wire_pong) },
	[WIRE_BYE] = { "BYE", 0 },
	[WIRE_ERROR] = { "ERROR", sizeof(struct wire_error) },
	[WIRE_RESUME] = { "RESUME", sizeof(struct wire_resume) },
	[WIRE_RESUMED] = { "RESUMED", sizeof(struct wire_resumed) },
	[WIRE_RELEASE] = { "RELEASE", sizeof(struct wire_release) },
};

int wire_body_bytes(uint16_t type)
{
	return type < WIRE_TYPE_END ? types[type].body_bytes : -1;
}

const char *wire_type_name(uint16_t type)
{
	return wire_body_bytes(type) >= 0 ? types[type].name : "unknown";
}

const char *wire_verdict_text(enum wire_verdict verdict)
{
	switch (verdict) {
	case WIRE_OK:
		return "well-formed";
	case WIRE_BAD_MAGIC:
		return "not the rswap protocol";
	case WIRE_BAD_VERSION:
		return "another version of the rswap protocol";
	case WIRE_BAD_TYPE:
		return "a message type that does not exist or is out of place";
	case WIRE_BAD_LENGTH:
		return "a length that does not belong to the message's type";
	case WIRE_BAD_FIELD:
		return "a field with a value that is not allowed";
	}
	return "unknown";
}

size_t wire_encode(const struct wire_message *message, void *buf)
{
	size_t body_bytes = (size_t)wire_body_bytes(message->type);
	struct wire_header h = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = message->type,
		.body_bytes = (uint32_t)body_bytes,
		.cookie = message->cookie,
	};

	memcpy(buf, &h, sizeof h);
	memcpy((char *)buf + sizeof h, &message->hello, body_bytes);
	return sizeof h + body_bytes;
}

enum wire_verdict wire_decode_header(const void *buf, struct wire_header *h)
{
	memcpy(h, buf, sizeof *h);
	if (h->magic != WIRE_MAGIC)
		return WIRE_BAD_MAGIC;
	if (h->version != WIRE_VERSION)
		return WIRE_BAD_VERSION;
	if (wire_body_bytes(h->type) < 0)
		return WIRE_BAD_TYPE;
	if (h->body_bytes != (uint32_t)wire_body_bytes(h->type))
		return WIRE_BAD_LENGTH;
	return WIRE_OK;
}

/* NUL-terminated, and every byte from LEAST to '~'.  Beyond '~' are control
 * characters of a terminal (0x7f to 0x9f), and what is no character by itself.
 */
static bool bytes_ok(const char *text, size_t size, char least)
{
	size_t n = strnlen(text, size);

	if (n == size)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < least || text[i] > '~')
			return false;
	}
	return true;
}

/* Safe to print in one line. */
static bool text_ok(const char *text, size_t size)
{
	return bytes_ok(text, size, ' ');
}

/* Safe to print among other fields of a line: a space would begin the next. */
static bool word_ok(const char *text, size_t size)
{
	return bytes_ok(text, size, ' ' + 1);
}

bool wire_name_ok(const char *name)
{
	return word_ok(name, strlen(name) + 1);
}

static bool power_of_two(uint64_t n)
{
	return n && !(n & (n - 1));
}

static bool fields_ok(const struct wire_message *m)
{
	const uint32_t both = WIRE_TRANSPORT_TCP | WIRE_TRANSPORT_RDMA;

	switch ((enum wire_type)m->type) {
	case WIRE_HELLO:
		return word_ok(m->hello.name, sizeof m->hello.name);
	case WIRE_WELCOME:
		return power_of_two(m->welcome.slab_bytes) &&
		       m->welcome.slab_bytes >= 1u << 20 &&
		       m->welcome.slab_bytes <= 1u << 30 &&
		       m->welcome.transports &&
		       !(m->welcome.transports & ~both) &&
		       word_ok(m->welcome.zone, sizeof m->welcome.zone);
	case WIRE_OPEN:
		return m->open.lanes > 0 && power_of_two(m->open.transport) &&
		       !(m->open.transport & ~both);
	case WIRE_OPENED:
		return m->opened.reserved == 0;
	case WIRE_RESUMED:
		return m->resumed.reserved == 0;
	case WIRE_PONG:
		return m->pong.reserved == 0;
	case WIRE_RELEASE:
		return m->cookie == 0 &&
		       (m->release.error == WIRE_RELEASE_DRAIN ||
			m->release.error == WIRE_RELEASE_PRESSURE);
	case WIRE_TOKEN:
	case WIRE_JOIN:
		return m->join.reserved == 0;
	case WIRE_FREE:
		return m->free.reserved == 0;
	case WIRE_SLAB:
		return power_of_two(m->slab.bytes);
	case WIRE_ERROR:
		/* an empty one would make a log line without a reason */
		return *m->error.text &&
		       text_ok(m->error.text, sizeof m->error.text);
	default:
		return true;
	}
}

enum wire_verdict wire_decode_body(const struct wire_header *h,
				   const void *body,
				   struct wire_message *message)
{
	message->type = h->type;
	message->cookie = h->cookie;
	memcpy(&message->hello, body, h->body_bytes);
	return fields_ok(message) ? WIRE_OK : WIRE_BAD_FIELD;
}

enum wire_verdict wire_decode_request(const void *buf,
				      struct wire_data_request *frame)
{
	memcpy(frame, buf, sizeof *frame);
	if (frame->magic != WIRE_DATA_MAGIC)
		return WIRE_BAD_MAGIC;
	if (frame->op != WIRE_READ && frame->op != WIRE_WRITE)
		return WIRE_BAD_TYPE;
	if (frame->bytes == 0 || frame->bytes > WIRE_DATA_MAX_BYTES)
		return WIRE_BAD_LENGTH;
	return frame->reserved == 0 ? WIRE_OK : WIRE_BAD_FIELD;
}

enum wire_verdict wire_decode_reply(const void *buf,
				    struct wire_data_reply *frame)
{
	memcpy(frame, buf, sizeof *frame);
	if (frame->magic != WIRE_REPLY_MAGIC)
		return WIRE_BAD_MAGIC;
	if (frame->bytes > WIRE_DATA_MAX_BYTES)
		return WIRE_BAD_LENGTH;
	return frame->reserved == 0 ? WIRE_OK : WIRE_BAD_FIELD;
}
