#include "handshake.h"

#include <string.h>

#define CONTEXT	   "base:allocation"
#define CONTEXT_ID 1u

#define CLIENT_FLAGS_BYTES 4u
#define EXPORT_ZEROES	   124u

static void over(struct handshake *h, const char *error)
{
	h->state = HANDSHAKE_OVER;
	h->error = error;
}

/* --- answers --- */

static uint8_t *end(struct handshake_answer *answer)
{
	return answer->data + answer->bytes;
}

static void set_end(struct handshake_answer *answer, const uint8_t *at)
{
	answer->bytes = (size_t)(at - answer->data);
}

/* Adds the header of a reply that has BYTES of content.  Returns where the
 * content goes. */
static uint8_t *reply(struct handshake_answer *answer, uint32_t option,
		      uint32_t type, uint32_t bytes)
{
	uint8_t *at = nbd_put64(end(answer), NBD_REPLY_MAGIC);

	at = nbd_put32(at, option);
	at = nbd_put32(at, type);
	at = nbd_put32(at, bytes);
	set_end(answer, at + bytes);
	return at;
}

static uint16_t transmission_flags(const struct handshake *h)
{
	return NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
	       NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES |
	       NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_FAST_ZERO |
	       (h->terms.structured ? NBD_FLAG_SEND_DF : 0);
}

static void answer_info(const struct handshake *h, uint32_t option,
			struct handshake_answer *answer)
{
	uint8_t *at = reply(answer, option, NBD_REP_INFO, 12);

	at = nbd_put16(at, NBD_INFO_EXPORT);
	at = nbd_put64(at, h->size);
	nbd_put16(at, transmission_flags(h));
	at = reply(answer, option, NBD_REP_INFO, 14);
	at = nbd_put16(at, NBD_INFO_BLOCK_SIZE);
	at = nbd_put32(at, h->block_bytes); /* minimum */
	at = nbd_put32(at, h->block_bytes); /* preferred */
	nbd_put32(at, NBD_REQUEST_MAX);
	reply(answer, option, NBD_REP_ACK, 0);
}

static void answer_context(uint32_t option, uint32_t id,
			   struct handshake_answer *answer)
{
	uint8_t *at = reply(answer, option, NBD_REP_META_CONTEXT,
			    4 + sizeof CONTEXT - 1);

	memcpy(nbd_put32(at, id), CONTEXT, sizeof CONTEXT - 1);
}

static void answer_export_name(const struct handshake *h,
			       struct handshake_answer *answer)
{
	uint8_t *at = nbd_put64(end(answer), h->size);

	at = nbd_put16(at, transmission_flags(h));
	if (!h->no_zeroes) {
		memset(at, 0, EXPORT_ZEROES);
		at += EXPORT_ZEROES;
	}
	set_end(answer, at);
}

/* --- what an option holds --- */

/* The rest of an option's content. */
struct content {
	const uint8_t *at;
	size_t left;
	bool wrong; /* it was shorter than what it should hold */
};

static const uint8_t *take(struct content *c, size_t bytes)
{
	const uint8_t *at = c->at;

	if (c->wrong || c->left < bytes) {
		c->wrong = true;
		return NULL;
	}
	c->at += bytes;
	c->left -= bytes;
	return at;
}

static uint32_t take32(struct content *c)
{
	const uint8_t *at = take(c, 4);

	return at ? nbd_get32(at) : 0;
}

static uint16_t take16(struct content *c)
{
	const uint8_t *at = take(c, 2);

	return at ? nbd_get16(at) : 0;
}

static const uint8_t *take_string(struct content *c, uint32_t *length)
{
	*length = take32(c);
	if (*length > NBD_STRING_MAX)
		c->wrong = true;
	return take(c, *length);
}

/* The content of INFO and GO: the export's name, and what the client wants to
 * know, which it is told anyway. */
static bool is_info(struct content *c)
{
	uint32_t length;

	take_string(c, &length);
	take(c, 2 * (size_t)take16(c));
	return !c->wrong && c->left == 0;
}

/* Whether the query at TEXT stands for the context: its name, or where the
 * client asks for a list, its namespace. */
static bool means_context(const uint8_t *text, uint32_t length, bool list)
{
	return (length == sizeof CONTEXT - 1 &&
		!memcmp(text, CONTEXT, length)) ||
	       (list && length == strlen("base:") &&
		!memcmp(text, "base:", length));
}

/* The content of LIST_META_CONTEXT and SET_META_CONTEXT: a name, and queries.
 * *ASKED: whether one of them asks for the context. */
static bool is_context(struct content *c, bool list, bool *asked)
{
	uint32_t length, n;

	take_string(c, &length);
	n = take32(c);
	*asked = list && n == 0;
	for (uint32_t i = 0; i < n && !c->wrong; i++) {
		const uint8_t *text = take_string(c, &length);

		if (text && means_context(text, length, list))
			*asked = true;
	}
	return !c->wrong && c->left == 0;
}

/* --- options --- */

static void take_contexts(struct handshake *h, uint32_t option,
			  struct content *c, struct handshake_answer *answer)
{
	bool list = option == NBD_OPT_LIST_META_CONTEXT, asked;

	if (!list)
		h->terms.context = false;
	if (!is_context(c, list, &asked) || (!list && !h->terms.structured)) {
		reply(answer, option, NBD_REP_ERR_INVALID, 0);
		return;
	}
	if (asked)
		answer_context(option, list ? 0 : CONTEXT_ID, answer);
	if (!list)
		h->terms.context = asked;
	reply(answer, option, NBD_REP_ACK, 0);
}

static void take_list(uint32_t option, const struct content *c,
		      struct handshake_answer *answer)
{
	if (c->left) {
		reply(answer, option, NBD_REP_ERR_INVALID, 0);
		return;
	}
	nbd_put32(reply(answer, option, NBD_REP_SERVER, 4), 0); /* "" */
	reply(answer, option, NBD_REP_ACK, 0);
}

static void take_option(struct handshake *h, uint32_t option, struct content *c,
			struct handshake_answer *answer)
{
	switch (option) {
	case NBD_OPT_EXPORT_NAME:
		answer_export_name(h, answer);
		h->state = HANDSHAKE_TRANSMISSION;
		break;
	case NBD_OPT_ABORT:
		reply(answer, option, NBD_REP_ACK, 0);
		over(h, NULL);
		break;
	case NBD_OPT_LIST:
		take_list(option, c, answer);
		break;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		if (!is_info(c)) {
			reply(answer, option, NBD_REP_ERR_INVALID, 0);
			break;
		}
		answer_info(h, option, answer);
		if (option == NBD_OPT_GO)
			h->state = HANDSHAKE_TRANSMISSION;
		break;
	case NBD_OPT_STRUCTURED_REPLY:
		h->terms.structured = h->terms.structured || !c->left;
		reply(answer, option,
		      c->left ? NBD_REP_ERR_INVALID : NBD_REP_ACK, 0);
		break;
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT:
		take_contexts(h, option, c, answer);
		break;
	default:
		reply(answer, option, NBD_REP_ERR_UNSUP, 0);
		break;
	}
}

static size_t step_flags(struct handshake *h, const uint8_t *in, size_t n)
{
	uint32_t flags;

	if (n < CLIENT_FLAGS_BYTES)
		return 0;
	flags = nbd_get32(in);
	h->no_zeroes = flags & NBD_NO_ZEROES;
	h->state = HANDSHAKE_OPTIONS;
	if (flags & ~(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
		over(h, "unknown handshake flags");
	return CLIENT_FLAGS_BYTES;
}

static size_t step_option(struct handshake *h, const uint8_t *in, size_t n,
			  struct handshake_answer *answer)
{
	struct content content;
	uint32_t option, length;

	if (n < NBD_OPTION_BYTES)
		return 0;
	option = nbd_get32(in + 8);
	length = nbd_get32(in + 12);
	if (nbd_get64(in) != NBD_OPTION_MAGIC) {
		over(h, "no magic number in front of an option");
		return NBD_OPTION_BYTES;
	}
	if (length > HANDSHAKE_OPTION_MAX) {
		over(h, "an option that is too long");
		return NBD_OPTION_BYTES;
	}
	if (n - NBD_OPTION_BYTES < length)
		return 0;
	content =
		(struct content){ .at = in + NBD_OPTION_BYTES, .left = length };
	take_option(h, option, &content, answer);
	return NBD_OPTION_BYTES + length;
}

void handshake_begin(struct handshake *h, uint64_t size, uint32_t block_bytes,
		     struct handshake_answer *answer)
{
	uint8_t *at = answer->data;

	*h = (struct handshake){ .size = size, .block_bytes = block_bytes };
	at = nbd_put64(at, NBD_MAGIC);
	at = nbd_put64(at, NBD_OPTION_MAGIC);
	at = nbd_put16(at, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	set_end(answer, at);
}

size_t handshake_step(struct handshake *h, const uint8_t *in, size_t n,
		      struct handshake_answer *answer)
{
	answer->bytes = 0;
	return h->state == HANDSHAKE_GREETED ? step_flags(h, in, n)
					     : step_option(h, in, n, answer);
}
