/* What a client of rswap-nbd sends (plugin/nbd): the handshake, step by step,
 * and then its requests. */
#include <string.h>

#include "fuzz.h"
#include "nbd/handshake.h"

#define SIZE	    (UINT64_C(1) << 30)
#define BLOCK_BYTES 4096u

/* Replies to options, each as long as it says. */
static void check_replies(const struct handshake_answer *answer)
{
	size_t at = 0;

	while (at < answer->bytes) {
		const uint8_t *reply = answer->data + at;

		REQUIRE(answer->bytes - at >= NBD_OPTION_REPLY_BYTES);
		REQUIRE(nbd_get64(reply) == NBD_REPLY_MAGIC);
		at += NBD_OPTION_REPLY_BYTES + nbd_get32(reply + 16);
	}
	REQUIRE(at == answer->bytes);
}

/* Less than a whole message changes nothing. */
static void check_parts(const struct handshake *before, const uint8_t *in,
			size_t bytes)
{
	struct handshake h = *before;
	struct handshake_answer answer;

	if (bytes)
		REQUIRE(!handshake_step(&h, in, bytes - 1, &answer) ||
			h.state == HANDSHAKE_OVER);
}

/* One step, with the input's bytes by themselves on the heap. */
static bool step(struct handshake *h, struct input *in)
{
	struct handshake before = *h;
	struct handshake_answer answer = { .bytes = 0 };
	uint8_t *copy = malloc(in->left);
	const uint8_t *at;
	size_t n;

	REQUIRE(copy || !in->left);
	if (in->left)
		memcpy(copy, in->data, in->left);
	n = handshake_step(h, copy, in->left, &answer);
	REQUIRE(n <= in->left);
	REQUIRE(answer.bytes <= sizeof answer.data);
	if (!n)
		REQUIRE(h->state == before.state && !answer.bytes);
	check_parts(&before, copy, n);
	/* EXPORT_NAME's answer has no header */
	if (before.state == HANDSHAKE_OPTIONS && n &&
	    nbd_get32(copy + 8) != NBD_OPT_EXPORT_NAME)
		check_replies(&answer);
	free(copy);
	input_take(in, n, &at);
	return n > 0 && h->state != HANDSHAKE_TRANSMISSION &&
	       h->state != HANDSHAKE_OVER;
}

/* What the front end relies on once a request is found good. */
static void take_request(const struct handshake *h, struct input *in)
{
	uint8_t bytes[NBD_REQUEST_BYTES];
	struct nbd_request r;
	const char *what = NULL;

	input_fill(in, bytes, sizeof bytes);
	if (!nbd_decode_request(bytes, &r))
		return;
	REQUIRE(*nbd_command_name(r.command));
	if (nbd_check_request(&r, &h->terms, SIZE, &what)) {
		REQUIRE(what);
		return;
	}
	if (r.command == NBD_CMD_FLUSH || r.command == NBD_CMD_DISC)
		return;
	REQUIRE(r.count > 0 && r.offset < SIZE && r.count <= SIZE - r.offset);
	if (r.command == NBD_CMD_READ || r.command == NBD_CMD_WRITE)
		REQUIRE(r.count <= NBD_REQUEST_MAX);
	if (r.command == NBD_CMD_BLOCK_STATUS)
		REQUIRE(h->terms.context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct handshake_answer greeting;
	struct handshake h;

	handshake_begin(&h, SIZE, BLOCK_BYTES, &greeting);
	while (step(&h, &in))
		;
	while (h.state == HANDSHAKE_TRANSMISSION && in.left)
		take_request(&h, &in);
	return 0;
}
