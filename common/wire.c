#include "wire.h"

#include <endian.h>
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

/* Host order to wire order and back are the same exchange of bytes (none on a
 * little-endian machine), so one function serves both ways. */
#define SWAP16(field) ((field) = htole16(field))
#define SWAP32(field) ((field) = htole32(field))
#define SWAP64(field) ((field) = htole64(field))

static void swap_header(struct wire_header *h)
{
	SWAP32(h->magic);
	SWAP16(h->version);
	SWAP16(h->type);
	SWAP32(h->body_bytes);
	SWAP32(h->cookie);
}

static void swap_welcome(struct wire_welcome *w)
{
	SWAP64(w->features);
	SWAP64(w->slab_bytes);
	SWAP64(w->total_bytes);
	SWAP64(w->free_bytes);
	SWAP32(w->transports);
	SWAP32(w->max_lanes);
	SWAP16(w->rdma_port);
}

static void swap_opened(struct wire_opened *o)
{
	SWAP64(o->session);
	SWAP64(o->free_bytes);
	SWAP32(o->grace_ms);
	SWAP32(o->reserved);
}

static void swap_resumed(struct wire_resumed *r)
{
	SWAP64(r->session);
	SWAP64(r->free_bytes);
	SWAP32(r->slabs);
	SWAP32(r->reserved);
}

static void swap_slab(struct wire_slab *s)
{
	SWAP64(s->label);
	SWAP64(s->address);
	SWAP64(s->bytes);
	SWAP64(s->free_bytes);
	SWAP32(s->slab);
	SWAP32(s->rkey);
}

static void swap_pong(struct wire_pong *p)
{
	SWAP64(p->total_bytes);
	SWAP64(p->free_bytes);
	SWAP32(p->session_slabs);
	SWAP32(p->session_lanes);
	SWAP32(p->release_slabs);
	SWAP32(p->reserved);
}

static void swap_body(struct wire_message *m)
{
	switch ((enum wire_type)m->type) {
	case WIRE_HELLO:
		SWAP64(m->hello.features);
		break;
	case WIRE_WELCOME:
		swap_welcome(&m->welcome);
		break;
	case WIRE_OPEN:
		SWAP64(m->open.size_bytes);
		SWAP32(m->open.lanes);
		SWAP32(m->open.transport);
		break;
	case WIRE_OPENED:
		swap_opened(&m->opened);
		break;
	case WIRE_TOKEN:
	case WIRE_JOIN:
		SWAP64(m->join.session);
		SWAP32(m->join.lane);
		SWAP32(m->join.reserved);
		break;
	case WIRE_JOINED:
		SWAP32(m->joined.lane);
		SWAP32(m->joined.reserved);
		break;
	case WIRE_ALLOC:
		SWAP64(m->alloc.label);
		break;
	case WIRE_SLAB:
		swap_slab(&m->slab);
		break;
	case WIRE_FREE:
		SWAP32(m->free.slab);
		SWAP32(m->free.reserved);
		break;
	case WIRE_FREED:
		SWAP64(m->freed.free_bytes);
		break;
	case WIRE_FENCED:
		SWAP32(m->fenced.lanes_closed);
		SWAP32(m->fenced.reserved);
		break;
	case WIRE_PONG:
		swap_pong(&m->pong);
		break;
	case WIRE_ERROR:
		SWAP32(m->error.code);
		break;
	case WIRE_RESUME:
		SWAP64(m->resume.session);
		break;
	case WIRE_RESUMED:
		swap_resumed(&m->resumed);
		break;
	case WIRE_RELEASE:
		SWAP32(m->release.slabs);
		SWAP32(m->release.error);
		break;
	case WIRE_LANE:
	case WIRE_FENCE:
	case WIRE_PING:
	case WIRE_BYE:
	case WIRE_TYPE_END:
		break;
	}
}

size_t wire_encode(const struct wire_message *message, void *buf)
{
	struct wire_message body = *message;
	size_t body_bytes = (size_t)wire_body_bytes(message->type);
	struct wire_header h = {
		.magic = WIRE_MAGIC,
		.version = WIRE_VERSION,
		.type = message->type,
		.body_bytes = (uint32_t)body_bytes,
		.cookie = message->cookie,
	};

	swap_header(&h);
	swap_body(&body);
	memcpy(buf, &h, sizeof h);
	memcpy((char *)buf + sizeof h, &body.hello, body_bytes);
	return sizeof h + body_bytes;
}

enum wire_verdict wire_decode_header(const void *buf, struct wire_header *h)
{
	memcpy(h, buf, sizeof *h);
	swap_header(h);
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
		return text_ok(m->error.text, sizeof m->error.text);
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
	swap_body(message);
	return fields_ok(message) ? WIRE_OK : WIRE_BAD_FIELD;
}

static void swap_request(struct wire_data_request *r)
{
	SWAP32(r->magic);
	SWAP16(r->op);
	SWAP16(r->reserved);
	SWAP32(r->slab);
	SWAP32(r->bytes);
	SWAP64(r->offset);
	SWAP64(r->cookie);
}

static void swap_reply(struct wire_data_reply *r)
{
	SWAP32(r->magic);
	SWAP32(r->status);
	SWAP32(r->bytes);
	SWAP32(r->reserved);
	SWAP64(r->cookie);
}

void wire_encode_request(const struct wire_data_request *host, void *buf)
{
	struct wire_data_request r = *host;

	swap_request(&r);
	memcpy(buf, &r, sizeof r);
}

enum wire_verdict wire_decode_request(const void *buf,
				      struct wire_data_request *host)
{
	memcpy(host, buf, sizeof *host);
	swap_request(host);
	if (host->magic != WIRE_DATA_MAGIC)
		return WIRE_BAD_MAGIC;
	if (host->op != WIRE_READ && host->op != WIRE_WRITE)
		return WIRE_BAD_TYPE;
	if (host->bytes == 0 || host->bytes > WIRE_DATA_MAX_BYTES)
		return WIRE_BAD_LENGTH;
	return host->reserved == 0 ? WIRE_OK : WIRE_BAD_FIELD;
}

void wire_encode_reply(const struct wire_data_reply *host, void *buf)
{
	struct wire_data_reply r = *host;

	swap_reply(&r);
	memcpy(buf, &r, sizeof r);
}

enum wire_verdict wire_decode_reply(const void *buf,
				    struct wire_data_reply *host)
{
	memcpy(host, buf, sizeof *host);
	swap_reply(host);
	if (host->magic != WIRE_REPLY_MAGIC)
		return WIRE_BAD_MAGIC;
	if (host->bytes > WIRE_DATA_MAX_BYTES)
		return WIRE_BAD_LENGTH;
	return host->reserved == 0 ? WIRE_OK : WIRE_BAD_FIELD;
}
