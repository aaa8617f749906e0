/* plugin/nbd/handshake.c and protocol.c: what bytes of a client lead to. */
#include "nbd/handshake.h"
#include "support.h"

#include <stdlib.h>

#define SIZE  (UINT64_C(64) << 20)
#define BLOCK 4096u

static struct handshake h;
static struct handshake_answer answer;

static int begin(void **state)
{
	(void)state;
	handshake_begin(&h, SIZE, BLOCK, &answer);
	return 0;
}

/* The next reply of the answer. */
struct reply {
	uint32_t option, type, bytes;
	const uint8_t *data;
};

static size_t reply_at;

static struct reply next_reply(void)
{
	const uint8_t *at = answer.data + reply_at;
	struct reply r = { nbd_get32(at + 8), nbd_get32(at + 12),
			   nbd_get32(at + 16), at + NBD_OPTION_REPLY_BYTES };

	assert_true(nbd_get64(at) == NBD_REPLY_MAGIC);
	reply_at += NBD_OPTION_REPLY_BYTES + r.bytes;
	assert_true(reply_at <= answer.bytes);
	return r;
}

static void no_more_replies(void)
{
	assert_int_equal(reply_at, answer.bytes);
}

static void send_flags(uint32_t flags)
{
	uint8_t in[4];

	nbd_put32(in, flags);
	assert_int_equal(handshake_step(&h, in, 3, &answer), 0);
	assert_int_equal(handshake_step(&h, in, 4, &answer), 4);
	assert_int_equal(answer.bytes, 0);
}

/* Sends an option, whose parts lead to nothing. */
static void send_option(uint32_t option, const void *data, uint32_t bytes)
{
	uint8_t *in = malloc(NBD_OPTION_BYTES + bytes);
	uint8_t *at = nbd_put32(nbd_put64(in, NBD_OPTION_MAGIC), option);

	at = nbd_put32(at, bytes);
	if (bytes)
		memcpy(at, data, bytes);
	for (uint32_t n = 0; n < NBD_OPTION_BYTES + bytes; n++)
		assert_int_equal(handshake_step(&h, in, n, &answer), 0);
	assert_int_equal(
		handshake_step(&h, in, NBD_OPTION_BYTES + bytes, &answer),
		NBD_OPTION_BYTES + bytes);
	reply_at = 0;
	free(in);
}

static void expect_only(uint32_t option, uint32_t type)
{
	struct reply r = next_reply();

	assert_int_equal(r.option, option);
	assert_int_equal(r.type, type);
	assert_int_equal(r.bytes, 0);
	no_more_replies();
}

/* A name of N bytes, and what follows. */
static uint32_t put_name(uint8_t *out, uint32_t n)
{
	nbd_put32(out, n);
	memset(out + 4, 'x', n);
	return 4 + n;
}

static uint32_t put_query(uint8_t *out, const char *query)
{
	nbd_put32(out, (uint32_t)strlen(query));
	memcpy(out + 4, query, strlen(query));
	return 4 + (uint32_t)strlen(query);
}

static void it_greets(void **state)
{
	(void)state;
	assert_int_equal(answer.bytes, 18);
	assert_memory_equal(answer.data, "NBDMAGICIHAVEOPT", 16);
	assert_int_equal(nbd_get16(answer.data + 16),
			 NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
}

static void unknown_flags_end_it(void **state)
{
	(void)state;
	send_flags(4);
	assert_int_equal(h.state, HANDSHAKE_OVER);
	assert_non_null(h.error);
}

static void go_tells_the_device(void **state)
{
	uint8_t in[64];
	uint32_t n = put_name(in, 3);
	struct reply r;

	(void)state;
	send_flags(NBD_FIXED_NEWSTYLE);
	nbd_put16(nbd_put16(in + n, 1), NBD_INFO_BLOCK_SIZE);
	for (uint32_t option = NBD_OPT_INFO; option <= NBD_OPT_GO; option++) {
		assert_int_equal(h.state, HANDSHAKE_OPTIONS);
		send_option(option, in, n + 4);
		r = next_reply();
		assert_int_equal(r.type, NBD_REP_INFO);
		assert_int_equal(nbd_get16(r.data), NBD_INFO_EXPORT);
		assert_int_equal(nbd_get64(r.data + 2), SIZE);
		assert_true(nbd_get16(r.data + 10) & NBD_FLAG_CAN_MULTI_CONN);
		assert_false(nbd_get16(r.data + 10) & NBD_FLAG_SEND_DF);
		r = next_reply();
		assert_int_equal(nbd_get16(r.data), NBD_INFO_BLOCK_SIZE);
		assert_int_equal(nbd_get32(r.data + 2), BLOCK);
		assert_int_equal(nbd_get32(r.data + 6), BLOCK);
		assert_int_equal(nbd_get32(r.data + 10), NBD_REQUEST_MAX);
		expect_only(option, NBD_REP_ACK);
	}
	assert_int_equal(h.state, HANDSHAKE_TRANSMISSION);
}

static void export_name_tells_the_device(void **state)
{
	(void)state;
	send_flags(NBD_FIXED_NEWSTYLE);
	send_option(NBD_OPT_EXPORT_NAME, "any", 3);
	assert_int_equal(h.state, HANDSHAKE_TRANSMISSION);
	assert_int_equal(answer.bytes, 134);
	assert_int_equal(nbd_get64(answer.data), SIZE);
	begin(NULL);
	send_flags(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	send_option(NBD_OPT_EXPORT_NAME, NULL, 0);
	assert_int_equal(answer.bytes, 10);
}

static void a_wrong_go_is_refused_and_may_be_repeated(void **state)
{
	uint8_t in[64] = { 0 };
	uint32_t n = put_name(in, 3);

	(void)state;
	send_flags(NBD_FIXED_NEWSTYLE);
	/* More than it says, and then less: two are to follow. */
	send_option(NBD_OPT_GO, in, n + 2 + 1);
	expect_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
	nbd_put16(in + n, 2);
	for (uint32_t bytes = 0; bytes < 20; bytes++) {
		send_option(NBD_OPT_GO, in, bytes);
		if (bytes == n + 2 + 4) /* both are there */
			break;
		expect_only(NBD_OPT_GO, NBD_REP_ERR_INVALID);
	}
	assert_int_equal(h.state, HANDSHAKE_TRANSMISSION);
}

static void the_other_options_are_answered(void **state)
{
	struct reply r;

	(void)state;
	send_flags(NBD_FIXED_NEWSTYLE);
	send_option(NBD_OPT_LIST, NULL, 0);
	r = next_reply();
	assert_int_equal(r.type, NBD_REP_SERVER);
	assert_int_equal(nbd_get32(r.data), 0);
	expect_only(NBD_OPT_LIST, NBD_REP_ACK);
	send_option(NBD_OPT_LIST, "x", 1);
	expect_only(NBD_OPT_LIST, NBD_REP_ERR_INVALID);
	send_option(5, NULL, 0); /* TLS */
	expect_only(5, NBD_REP_ERR_UNSUP);
	send_option(NBD_OPT_STRUCTURED_REPLY, "x", 1);
	expect_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_INVALID);
	assert_false(h.terms.structured);
	send_option(NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	expect_only(NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
	assert_true(h.terms.structured);
	send_option(NBD_OPT_ABORT, NULL, 0);
	expect_only(NBD_OPT_ABORT, NBD_REP_ACK);
	assert_int_equal(h.state, HANDSHAKE_OVER);
	assert_null(h.error);
}

static uint32_t context(uint8_t *in, const char *query)
{
	uint32_t n = put_name(in, 0);

	nbd_put32(in + n, query ? 1 : 0);
	n += 4;
	return query ? n + put_query(in + n, query) : n;
}

static bool ask_context(uint32_t option, const char *query)
{
	uint8_t in[64];
	struct reply r;

	send_option(option, in, context(in, query));
	r = next_reply();
	if (r.type == NBD_REP_ACK) {
		no_more_replies();
		return false;
	}
	assert_int_equal(r.type, NBD_REP_META_CONTEXT);
	assert_int_equal(r.bytes, 4 + 15);
	assert_memory_equal(r.data + 4, "base:allocation", 15);
	expect_only(option, NBD_REP_ACK);
	return true;
}

static void the_context_is_found(void **state)
{
	uint8_t in[64];

	(void)state;
	send_flags(NBD_FIXED_NEWSTYLE);
	send_option(NBD_OPT_SET_META_CONTEXT, in, context(in, NULL));
	expect_only(NBD_OPT_SET_META_CONTEXT, NBD_REP_ERR_INVALID);
	send_option(NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	assert_true(ask_context(NBD_OPT_LIST_META_CONTEXT, NULL));
	assert_true(ask_context(NBD_OPT_LIST_META_CONTEXT, "base:"));
	assert_false(ask_context(NBD_OPT_LIST_META_CONTEXT, "qemu:"));
	assert_false(h.terms.context);
	assert_false(ask_context(NBD_OPT_SET_META_CONTEXT, "base:"));
	assert_true(ask_context(NBD_OPT_SET_META_CONTEXT, "base:allocation"));
	assert_true(h.terms.context);
	assert_false(ask_context(NBD_OPT_SET_META_CONTEXT, NULL));
	assert_false(h.terms.context);
}

static void a_long_option_ends_it(void **state)
{
	uint8_t in[NBD_OPTION_BYTES];

	(void)state;
	send_flags(NBD_FIXED_NEWSTYLE);
	nbd_put32(nbd_put32(nbd_put64(in, NBD_OPTION_MAGIC), NBD_OPT_GO),
		  UINT32_MAX);
	assert_int_equal(handshake_step(&h, in, sizeof in, &answer), sizeof in);
	assert_int_equal(h.state, HANDSHAKE_OVER);
	assert_non_null(h.error);
}

/* Options of random content: nothing is read that is not there (the buffers
 * have no byte more), and no answer is too long. */
static void nothing_is_read_beyond_the_end(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		uint32_t bytes = (uint32_t)random_next(&seed) % 48;
		uint8_t *in = malloc(NBD_OPTION_BYTES + bytes), *at;

		begin(NULL);
		h.state = HANDSHAKE_OPTIONS;
		h.terms.structured = i % 2;
		random_fill(&seed, in, NBD_OPTION_BYTES + bytes);
		at = nbd_put64(in, NBD_OPTION_MAGIC);
		at = nbd_put32(at, (uint32_t)random_next(&seed) % 12);
		at = nbd_put32(at, bytes);
		/* Lengths that nearly fit. */
		for (uint32_t j = 0; j + 4 <= bytes; j += 4) {
			if (random_next(&seed) % 2)
				nbd_put32(at + j,
					  (uint32_t)random_next(&seed) % 16);
		}
		assert_int_equal(handshake_step(&h, in,
						NBD_OPTION_BYTES + bytes,
						&answer),
				 NBD_OPTION_BYTES + bytes);
		assert_true(answer.bytes <= sizeof answer.data);
		free(in);
	}
}

/* --- requests --- */

static enum nbd_error check(uint16_t command, uint16_t flags, uint64_t offset,
			    uint32_t count)
{
	struct nbd_terms terms = { .structured = true, .context = true };
	struct nbd_request r = { flags, command, 1, offset, count };
	const char *what = NULL;
	enum nbd_error error = nbd_check_request(&r, &terms, SIZE, &what);

	assert_int_equal(error == 0, what == NULL);
	return error;
}

static void a_request_is_decoded(void **state)
{
	uint8_t in[NBD_REQUEST_BYTES];
	struct nbd_request r;

	(void)state;
	nbd_put32(in, NBD_REQUEST_MAGIC);
	nbd_put16(in + 4, 1);
	nbd_put16(in + 6, NBD_CMD_WRITE);
	nbd_put64(in + 8, UINT64_C(0x0123456789abcdef));
	nbd_put64(in + 16, UINT64_C(0xfedcba9876543210));
	nbd_put32(in + 24, 0x10203040);
	assert_true(nbd_decode_request(in, &r));
	assert_int_equal(r.flags, 1);
	assert_int_equal(r.command, NBD_CMD_WRITE);
	assert_int_equal(r.cookie, UINT64_C(0x0123456789abcdef));
	assert_int_equal(r.offset, UINT64_C(0xfedcba9876543210));
	assert_int_equal(r.count, 0x10203040);
	in[3] ^= 1;
	assert_false(nbd_decode_request(in, &r));
}

static void what_the_device_has_not_is_refused(void **state)
{
	(void)state;
	assert_int_equal(check(NBD_CMD_READ, 0, 0, 4096), 0);
	assert_int_equal(check(NBD_CMD_READ, 0, SIZE - 4096, 4096), 0);
	assert_int_equal(check(NBD_CMD_READ, 0, SIZE, 4096), NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_READ, 0, SIZE - 4096, 4097), NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_READ, 0, UINT64_MAX - 1, 4096),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_READ, 0, 0, 0), NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_WRITE, 0, SIZE, 1), NBD_ENOSPC);
	assert_int_equal(check(NBD_CMD_WRITE_ZEROES, 0, SIZE, 1), NBD_ENOSPC);
	assert_int_equal(check(NBD_CMD_TRIM, 0, SIZE, 1), NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_READ, 0, 0, NBD_REQUEST_MAX), 0);
	assert_int_equal(check(NBD_CMD_READ, 0, 0, NBD_REQUEST_MAX + 1),
			 NBD_ENOMEM);
	assert_int_equal(check(NBD_CMD_TRIM, 0, 0, NBD_REQUEST_MAX + 4096), 0);
	assert_int_equal(check(NBD_CMD_FLUSH, 0, 0, 0), 0);
}

static void what_was_not_negotiated_is_refused(void **state)
{
	struct nbd_terms none = { 0 };
	struct nbd_request status = { .command = NBD_CMD_BLOCK_STATUS,
				      .count = 1 };
	struct nbd_request whole = { .command = NBD_CMD_READ,
				     .flags = NBD_CMD_FLAG_DF,
				     .count = 1 };
	const char *what;

	(void)state;
	assert_int_equal(
		check(NBD_CMD_BLOCK_STATUS, NBD_CMD_FLAG_REQ_ONE, 0, 1), 0);
	assert_int_equal(check(NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, 1), 0);
	assert_int_equal(nbd_check_request(&status, &none, SIZE, &what),
			 NBD_EINVAL);
	assert_int_equal(nbd_check_request(&whole, &none, SIZE, &what),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_CACHE, 0, 0, 1), NBD_EINVAL);
	assert_int_equal(check(8, 0, 0, 1), NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_WRITE, NBD_CMD_FLAG_NO_HOLE, 0, 1),
			 NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_WRITE, 1 << 5, 0, 1), NBD_EINVAL);
	assert_int_equal(check(NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 0, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_greets, begin),
		cmocka_unit_test_setup(unknown_flags_end_it, begin),
		cmocka_unit_test_setup(go_tells_the_device, begin),
		cmocka_unit_test_setup(export_name_tells_the_device, begin),
		cmocka_unit_test_setup(
			a_wrong_go_is_refused_and_may_be_repeated, begin),
		cmocka_unit_test_setup(the_other_options_are_answered, begin),
		cmocka_unit_test_setup(the_context_is_found, begin),
		cmocka_unit_test_setup(a_long_option_ends_it, begin),
		cmocka_unit_test(nothing_is_read_beyond_the_end),
		cmocka_unit_test(a_request_is_decoded),
		cmocka_unit_test(what_the_device_has_not_is_refused),
		cmocka_unit_test(what_was_not_negotiated_is_refused),
	};

	return cmocka_run_group_tests_name("nbd", tests, NULL, NULL);
}
