#include "private_data.h"
#include "support.h"

#include <stdlib.h>

#define JOIN_BYTES  48
#define ERROR_BYTES 144

/* In a copy of its own size, so that a sanitizer sees what reads beyond. */
static enum wire_verdict decode(const void *data, size_t bytes,
				enum wire_type type, struct wire_message *m)
{
	void *copy = malloc(bytes);
	enum wire_verdict verdict;

	assert_non_null(copy);
	memcpy(copy, data, bytes);
	memset(m, 0xff, sizeof *m);
	verdict = private_data_decode(copy, bytes, type, m);
	free(copy);
	return verdict;
}

static size_t encode_join(unsigned char *buf)
{
	struct wire_message m = { .type = WIRE_JOIN, .cookie = 7 };

	m.join.session = 3;
	m.join.lane = 2;
	memset(m.join.token, 'x', sizeof m.join.token);
	return wire_encode(&m, buf);
}

static size_t encode_error(unsigned char *buf)
{
	struct wire_message m = { .type = WIRE_ERROR, .cookie = 7 };

	m.error.code = WIRE_E_TOKEN;
	strcpy(m.error.text, "that token joins nothing");
	return wire_encode(&m, buf);
}

static void padding_is_ignored(void **state)
{
	unsigned char buf[PRIVATE_DATA_REJECT_MAX];
	struct wire_message m;

	(void)state;
	for (int padding = 0; padding < 0x100; padding += 0xff) {
		memset(buf, padding, sizeof buf);
		assert_int_equal(encode_join(buf), JOIN_BYTES);
		assert_int_equal(
			decode(buf, PRIVATE_DATA_REQUEST_MAX, WIRE_JOIN, &m),
			WIRE_OK);
		assert_int_equal(m.cookie, 7);
		assert_int_equal(m.join.session, 3);
		assert_int_equal(m.join.lane, 2);
		assert_int_equal(m.join.token[WIRE_TOKEN_BYTES - 1], 'x');
		memset(buf, padding, sizeof buf);
		assert_int_equal(encode_error(buf), ERROR_BYTES);
		assert_int_equal(decode(buf, sizeof buf, WIRE_ERROR, &m),
				 WIRE_OK);
		assert_int_equal(m.error.code, WIRE_E_TOKEN);
		assert_string_equal(m.error.text, "that token joins nothing");
	}
}

static void a_message_that_is_cut_has_a_bad_length(void **state)
{
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_message m;
	size_t bytes = encode_join(buf);

	(void)state;
	assert_int_equal(decode(buf, bytes, WIRE_JOIN, &m), WIRE_OK);
	while (bytes--) {
		assert_int_equal(decode(buf, bytes, WIRE_JOIN, &m),
				 WIRE_BAD_LENGTH);
		assert_int_equal(m.cookie,
				 bytes >= sizeof(struct wire_header) ? 7 : 0);
	}
	bytes = encode_error(buf);
	while (bytes--)
		assert_int_equal(decode(buf, bytes, WIRE_ERROR, &m),
				 WIRE_BAD_LENGTH);
}

static void private_data_may_be_missing(void **state)
{
	struct wire_message m;

	(void)state;
	assert_int_equal(private_data_decode(NULL, 0, WIRE_JOIN, &m),
			 WIRE_BAD_LENGTH);
	assert_int_equal(m.cookie, 0);
}

static void only_the_message_of_its_place_passes(void **state)
{
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_message m;
	size_t bytes = encode_join(buf);

	(void)state;
	assert_int_equal(decode(buf, bytes, WIRE_ERROR, &m), WIRE_BAD_TYPE);
	assert_int_equal(m.cookie, 7);
	bytes = encode_error(buf);
	assert_int_equal(decode(buf, bytes, WIRE_JOIN, &m), WIRE_BAD_TYPE);
}

/* A client of another version may have another JOIN: its version is told, and
 * not its length. */
static void a_version_is_told_before_a_length(void **state)
{
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_message m;

	(void)state;
	encode_join(buf);
	buf[4]++;
	assert_int_equal(decode(buf, sizeof(struct wire_header), WIRE_JOIN, &m),
			 WIRE_BAD_VERSION);
	buf[0] = 'X';
	assert_int_equal(decode(buf, JOIN_BYTES, WIRE_JOIN, &m),
			 WIRE_BAD_MAGIC);
}

static void fields_are_checked(void **state)
{
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_message m;

	(void)state;
	encode_join(buf);
	buf[16 + 12] = 1; /* reserved */
	assert_int_equal(decode(buf, JOIN_BYTES, WIRE_JOIN, &m),
			 WIRE_BAD_FIELD);
	encode_error(buf);
	buf[16 + 4 + 5] = '\n';
	assert_int_equal(decode(buf, ERROR_BYTES, WIRE_ERROR, &m),
			 WIRE_BAD_FIELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(padding_is_ignored),
		cmocka_unit_test(a_message_that_is_cut_has_a_bad_length),
		cmocka_unit_test(private_data_may_be_missing),
		cmocka_unit_test(only_the_message_of_its_place_passes),
		cmocka_unit_test(a_version_is_told_before_a_length),
		cmocka_unit_test(fields_are_checked),
	};

	return cmocka_run_group_tests_name("private data", tests, NULL, NULL);
}
