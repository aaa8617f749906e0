#include "support.h"
#include "wire.h"

/* What a decoder says of a whole message in BUF. */
static enum wire_verdict decode(const unsigned char *buf,
				struct wire_message *message)
{
	struct wire_header h;
	enum wire_verdict verdict = wire_decode_header(buf, &h);

	if (verdict != WIRE_OK)
		return verdict;
	return wire_decode_body(&h, buf + sizeof h, message);
}

/* A message of TYPE with fields that are all different, and allowed. */
static struct wire_message sample(uint16_t type)
{
	struct wire_message m;
	uint64_t seed = type;

	random_fill(&seed, &m, sizeof m);
	m.type = type;
	m.cookie = 0xc0a80000u + type;
	switch ((enum wire_type)type) {
	case WIRE_HELLO:
		memset(m.hello.name, 0, sizeof m.hello.name);
		strcpy(m.hello.name, "nbdkit-rswap@host/7");
		break;
	case WIRE_WELCOME:
		m.welcome.slab_bytes = 64 << 20;
		m.welcome.transports = WIRE_TRANSPORT_TCP | WIRE_TRANSPORT_RDMA;
		memset(m.welcome.zone, 0, sizeof m.welcome.zone);
		strcpy(m.welcome.zone, "rack-7");
		break;
	case WIRE_OPENED:
		m.opened.reserved = 0;
		break;
	case WIRE_RESUMED:
		m.resumed.reserved = 0;
		break;
	case WIRE_PONG:
		m.pong.reserved = 0;
		break;
	case WIRE_RELEASE:
		m.cookie = 0;
		m.release.error = WIRE_RELEASE_PRESSURE;
		break;
	case WIRE_OPEN:
		m.open.lanes = 16;
		m.open.transport = WIRE_TRANSPORT_RDMA;
		break;
	case WIRE_TOKEN:
	case WIRE_JOIN:
		m.join.reserved = 0;
		break;
	case WIRE_SLAB:
		m.slab.bytes = 64 << 20;
		break;
	case WIRE_FREE:
		m.free.reserved = 0;
		break;
	case WIRE_ERROR:
		memset(m.error.text, 0, sizeof m.error.text);
		strcpy(m.error.text, "no slab can be handed out now");
		break;
	default:
		break;
	}
	return m;
}

static void every_type_has_its_size(void **state)
{
	/* Of the body: what docs/protocol.md says, counted by hand. */
	static const int bodies[WIRE_TYPE_END] = {
		-1, 72, 96, 16, 40, 0,	32, 32,	 8,  8,	 32,
		8,  8,	0,  8,	0,  32, 0,  128, 24, 40, 8,
	};

	(void)state;
	for (uint16_t type = 0; type < WIRE_TYPE_END; type++)
		assert_int_equal(wire_body_bytes(type), bodies[type]);
	assert_int_equal(wire_body_bytes(WIRE_TYPE_END), -1);
	assert_int_equal(wire_body_bytes(UINT16_MAX), -1);
	assert_string_equal(wire_type_name(WIRE_HELLO), "HELLO");
	assert_string_equal(wire_type_name(0), "unknown");
	assert_string_equal(wire_type_name(UINT16_MAX), "unknown");
}

static void every_type_survives_the_round_trip(void **state)
{
	(void)state;
	for (uint16_t type = 1; type < WIRE_TYPE_END; type++) {
		struct wire_message sent = sample(type), got;
		unsigned char buf[WIRE_MESSAGE_MAX];
		size_t body_bytes = (size_t)wire_body_bytes(type);

		assert_int_equal(wire_encode(&sent, buf), 16 + body_bytes);
		assert_int_equal(decode(buf, &got), WIRE_OK);
		assert_int_equal(got.type, type);
		assert_int_equal(got.cookie, sent.cookie);
		assert_memory_equal(&got.hello, &sent.hello, body_bytes);
	}
}

static void an_encoder_writes_no_more_than_it_says(void **state)
{
	(void)state;
	for (uint16_t type = 1; type < WIRE_TYPE_END; type++) {
		struct wire_message m = sample(type);
		unsigned char buf[WIRE_MESSAGE_MAX];

		memset(buf, 0xee, sizeof buf);
		for (size_t i = wire_encode(&m, buf); i < sizeof buf; i++)
			assert_int_equal(buf[i], 0xee);
	}
}

/* --- golden bytes: to a server, and from one --- */

static void an_open_has_these_bytes(void **state)
{
	static const unsigned char golden[] = {
		'R',  'S',  'W',  'P',	3,    0,    3,	  0,
		16,   0,    0,	  0,	0x44, 0x33, 0x22, 0x11,
		0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
		16,   0,    0,	  0,	2,    0,    0,	  0,
	};
	struct wire_message m = { .type = WIRE_OPEN, .cookie = 0x11223344 };
	unsigned char buf[WIRE_MESSAGE_MAX];

	(void)state;
	m.open = (struct wire_open){ .size_bytes = 0x0102030405060708,
				     .lanes = 16,
				     .transport = WIRE_TRANSPORT_RDMA };
	assert_int_equal(wire_encode(&m, buf), sizeof golden);
	assert_memory_equal(buf, golden, sizeof golden);
}

static void a_slab_is_read_from_these_bytes(void **state)
{
	static const unsigned char golden[] = {
		'R',  'S',  'W',  'P',	3,    0,    10,	  0,	/* type */
		32,   0,    0,	  0,	0x44, 0x33, 0x22, 0x11, /* cookie */
		7,    0,    0,	  0,	0,    0,    0,	  0,	/* label */
		0,    0,    0,	  4,	0,    0,    0,	  0,	/* bytes */
		0,    0,    0,	  0,	1,    0,    0,	  0,	/* free_bytes */
		9,    0,    0,	  0,				/* slab */
		0xdd, 0xcc, 0xbb, 0xaa,				/* rkey */
	};
	struct wire_message m;

	(void)state;
	assert_int_equal(decode(golden, &m), WIRE_OK);
	assert_int_equal(m.type, WIRE_SLAB);
	assert_int_equal(m.cookie, 0x11223344);
	assert_int_equal(m.slab.label, 7);
	assert_int_equal(m.slab.bytes, 64 << 20);
	assert_int_equal(m.slab.free_bytes, UINT64_C(1) << 32);
	assert_int_equal(m.slab.slab, 9);
	assert_int_equal(m.slab.rkey, 0xaabbccdd);
}

static void a_resume_has_these_bytes(void **state)
{
	static const unsigned char golden[] = {
		'R',  'S',  'W',  'P',	3,    0,    19,	  0,	24,   0,
		0,    0,    0x44, 0x33, 0x22, 0x11, 0x08, 0x07, 0x06, 0x05,
		0x04, 0x03, 0x02, 0x01, '0',  '1',  '2',  '3',	'4',  '5',
		'6',  '7',  '8',  '9',	'a',  'b',  'c',  'd',	'e',  'f',
	};
	struct wire_message m = { .type = WIRE_RESUME, .cookie = 0x11223344 };
	unsigned char buf[WIRE_MESSAGE_MAX];

	(void)state;
	m.resume.session = 0x0102030405060708;
	memcpy(m.resume.token, "0123456789abcdef", sizeof m.resume.token);
	assert_int_equal(wire_encode(&m, buf), sizeof golden);
	assert_memory_equal(buf, golden, sizeof golden);
}

static void a_release_is_read_from_these_bytes(void **state)
{
	static const unsigned char golden[] = {
		'R', 'S', 'W', 'P', 3, 0, 21,  0,    8,	   0,
		0,   0,	  0,   0,   0, 0, 0xf, 0xff, 0xff, 0xff, /* slabs */
		1,   0,	  0,   0,				 /* reason */
	};
	struct wire_message m;

	(void)state;
	assert_int_equal(decode(golden, &m), WIRE_OK);
	assert_int_equal(m.type, WIRE_RELEASE);
	assert_int_equal(m.release.slabs, 0xffffff0f);
	assert_int_equal(m.release.error, WIRE_RELEASE_DRAIN);
}

static void a_data_request_has_these_bytes(void **state)
{
	static const unsigned char golden[] = {
		'R',  'S',  'W',  'D',	2,    0,    0,	  0,
		5,    0,    0,	  0,	0,    16,   0,	  0,
		0x00, 0x30, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00,
		0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
	};
	const struct wire_data_request r = { .magic = WIRE_DATA_MAGIC,
					     .op = WIRE_WRITE,
					     .slab = 5,
					     .bytes = 4096,
					     .offset = 0x100003000,
					     .cookie = 0x0102030405060708 };
	struct wire_data_request got;
	unsigned char buf[sizeof golden];

	(void)state;
	memcpy(buf, &r, sizeof r);
	assert_memory_equal(buf, golden, sizeof golden);
	assert_int_equal(wire_decode_request(buf, &got), WIRE_OK);
	assert_memory_equal(&got, &r, sizeof r);
}

static void a_data_reply_has_these_bytes(void **state)
{
	static const unsigned char golden[] = {
		'R',  'S',  'W',  'R',	4,    0,    0,	  0,
		0,    16,   0,	  0,	0,    0,    0,	  0,
		0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01,
	};
	const struct wire_data_reply r = { .magic = WIRE_REPLY_MAGIC,
					   .status = WIRE_E_NO_SLAB,
					   .bytes = 4096,
					   .cookie = 0x0102030405060708 };
	struct wire_data_reply got;
	unsigned char buf[sizeof golden];

	(void)state;
	memcpy(buf, &r, sizeof r);
	assert_memory_equal(buf, golden, sizeof golden);
	assert_int_equal(wire_decode_reply(buf, &got), WIRE_OK);
	assert_memory_equal(&got, &r, sizeof r);
}

/* --- verdicts --- */

/* A PING with one byte of its header changed. */
static enum wire_verdict ping_with(size_t at, unsigned char byte)
{
	struct wire_message m = { .type = WIRE_PING };
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_header h;

	wire_encode(&m, buf);
	buf[at] = byte;
	return wire_decode_header(buf, &h);
}

static void a_wrong_header_is_told_apart(void **state)
{
	(void)state;
	assert_int_equal(ping_with(0, 'r'), WIRE_BAD_MAGIC);
	assert_int_equal(ping_with(3, 0), WIRE_BAD_MAGIC);
	assert_int_equal(ping_with(4, WIRE_VERSION + 1), WIRE_BAD_VERSION);
	assert_int_equal(ping_with(4, 2), WIRE_BAD_VERSION);
	assert_int_equal(ping_with(5, 1), WIRE_BAD_VERSION);
	assert_int_equal(ping_with(6, 0), WIRE_BAD_TYPE);
	assert_int_equal(ping_with(6, WIRE_TYPE_END), WIRE_BAD_TYPE);
	assert_int_equal(ping_with(7, 1), WIRE_BAD_TYPE);
	assert_int_equal(ping_with(8, 1), WIRE_BAD_LENGTH);
	assert_int_equal(ping_with(11, 0x80), WIRE_BAD_LENGTH);
	assert_int_equal(ping_with(12, 0xff), WIRE_OK);
}

static void another_version_is_told_with_its_number(void **state)
{
	struct wire_message m = { .type = WIRE_PING };
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_header h;

	(void)state;
	wire_encode(&m, buf);
	buf[4] = 7;
	assert_int_equal(wire_decode_header(buf, &h), WIRE_BAD_VERSION);
	assert_int_equal(h.version, 7);
}

static void every_length_but_the_types_own_is_refused(void **state)
{
	(void)state;
	for (uint16_t type = 1; type < WIRE_TYPE_END; type++) {
		struct wire_message m = sample(type);
		unsigned char buf[WIRE_MESSAGE_MAX];
		struct wire_header h;

		wire_encode(&m, buf);
		for (int bytes = 0; bytes < 256; bytes++) {
			buf[8] = (unsigned char)bytes;
			assert_int_equal(wire_decode_header(buf, &h),
					 bytes == wire_body_bytes(type)
						 ? WIRE_OK
						 : WIRE_BAD_LENGTH);
		}
	}
}

/* What becomes of M on the other side. */
static enum wire_verdict verdict_on(const struct wire_message *m)
{
	unsigned char buf[WIRE_MESSAGE_MAX];
	struct wire_message got;

	wire_encode(m, buf);
	return decode(buf, &got);
}

#define assert_refused_with(type_, field, value)                               \
	do {                                                                   \
		struct wire_message m_ = sample(type_);                        \
                                                                               \
		assert_int_equal(verdict_on(&m_), WIRE_OK);                    \
		m_.field = (value);                                            \
		assert_int_equal(verdict_on(&m_), WIRE_BAD_FIELD);             \
	} while (0)

static void fields_that_no_peer_may_send_are_refused(void **state)
{
	(void)state;
	assert_refused_with(WIRE_WELCOME, welcome.slab_bytes, 0);
	assert_refused_with(WIRE_WELCOME, welcome.slab_bytes, 3 << 20);
	assert_refused_with(WIRE_WELCOME, welcome.slab_bytes, 1 << 19);
	assert_refused_with(WIRE_WELCOME, welcome.slab_bytes,
			    UINT64_C(1) << 31);
	assert_refused_with(WIRE_WELCOME, welcome.transports, 0);
	assert_refused_with(WIRE_WELCOME, welcome.transports, 4);
	assert_refused_with(WIRE_OPENED, opened.reserved, 1);
	assert_refused_with(WIRE_RESUMED, resumed.reserved, 1);
	assert_refused_with(WIRE_PONG, pong.reserved, 1);
	assert_refused_with(WIRE_RELEASE, release.error, 0);
	assert_refused_with(WIRE_RELEASE, release.error, 3);
	assert_refused_with(WIRE_RELEASE, cookie, 1);
	assert_refused_with(WIRE_OPEN, open.lanes, 0);
	assert_refused_with(WIRE_OPEN, open.transport, 0);
	assert_refused_with(WIRE_OPEN, open.transport, 3);
	assert_refused_with(WIRE_OPEN, open.transport, 4);
	assert_refused_with(WIRE_TOKEN, token.reserved, 1);
	assert_refused_with(WIRE_JOIN, join.reserved, 1);
	assert_refused_with(WIRE_FREE, free.reserved, 1);
	assert_refused_with(WIRE_SLAB, slab.bytes, 0);
	assert_refused_with(WIRE_SLAB, slab.bytes, (64 << 20) + 1);
}

static void text_that_cannot_be_printed_is_refused(void **state)
{
	(void)state;
	assert_refused_with(WIRE_HELLO, hello.name[0], '\n');
	assert_refused_with(WIRE_HELLO, hello.name[3], '\x1b');
	assert_refused_with(WIRE_HELLO, hello.name[3], '\x7f');
	assert_refused_with(WIRE_WELCOME, welcome.zone[0], '\n');
	assert_refused_with(WIRE_ERROR, error.text[0], '\0');
	assert_refused_with(WIRE_ERROR, error.text[5], '\r');
	assert_refused_with(WIRE_ERROR, error.text[5], '\t');
	/* control characters beyond ASCII: 0x9b begins an escape sequence */
	assert_refused_with(WIRE_HELLO, hello.name[3], '\x80');
	assert_refused_with(WIRE_HELLO, hello.name[3], '\x9b');
	assert_refused_with(WIRE_WELCOME, welcome.zone[0], '\x9f');
	assert_refused_with(WIRE_ERROR, error.text[5], '\x85');
}

/* "a at 10.0.0.9:1" as a name would seem to be a field of the line it is in. */
static void names_and_zones_are_words(void **state)
{
	struct wire_message error = sample(WIRE_ERROR);

	(void)state;
	assert_refused_with(WIRE_HELLO, hello.name[3], ' ');
	assert_refused_with(WIRE_WELCOME, welcome.zone[2], ' ');
	assert_non_null(strchr(error.error.text, ' '));
	assert_int_equal(verdict_on(&error), WIRE_OK);
	assert_true(wire_name_ok("rack-7"));
	assert_false(wire_name_ok("rack 7"));
	assert_false(wire_name_ok("rack\xc2\x9b"));
}

static void unterminated_text_is_refused(void **state)
{
	struct wire_message hello = sample(WIRE_HELLO);
	struct wire_message error = sample(WIRE_ERROR);
	struct wire_message welcome = sample(WIRE_WELCOME);

	(void)state;
	memset(welcome.welcome.zone, 'z', sizeof welcome.welcome.zone);
	assert_int_equal(verdict_on(&welcome), WIRE_BAD_FIELD);
	welcome.welcome.zone[sizeof welcome.welcome.zone - 1] = '\0';
	assert_int_equal(verdict_on(&welcome), WIRE_OK);
	memset(hello.hello.name, 'a', sizeof hello.hello.name);
	assert_int_equal(verdict_on(&hello), WIRE_BAD_FIELD);
	hello.hello.name[sizeof hello.hello.name - 1] = '\0';
	assert_int_equal(verdict_on(&hello), WIRE_OK);
	memset(error.error.text, 'a', sizeof error.error.text);
	assert_int_equal(verdict_on(&error), WIRE_BAD_FIELD);
	error.error.text[sizeof error.error.text - 1] = '\0';
	assert_int_equal(verdict_on(&error), WIRE_OK);
}

static enum wire_verdict on_request(struct wire_data_request r)
{
	unsigned char buf[sizeof r];
	struct wire_data_request got;

	memcpy(buf, &r, sizeof r);
	return wire_decode_request(buf, &got);
}

static void wrong_data_requests_are_refused(void **state)
{
	const struct wire_data_request good = { .magic = WIRE_DATA_MAGIC,
						.op = WIRE_READ,
						.bytes = 1 };
	struct wire_data_request r = good;

	(void)state;
	assert_int_equal(on_request(r), WIRE_OK);
	r.bytes = WIRE_DATA_MAX_BYTES;
	assert_int_equal(on_request(r), WIRE_OK);
	r.bytes = WIRE_DATA_MAX_BYTES + 1;
	assert_int_equal(on_request(r), WIRE_BAD_LENGTH);
	r.bytes = 0;
	assert_int_equal(on_request(r), WIRE_BAD_LENGTH);
	r = good;
	r.op = 0;
	assert_int_equal(on_request(r), WIRE_BAD_TYPE);
	r.op = 3;
	assert_int_equal(on_request(r), WIRE_BAD_TYPE);
	r = good;
	r.reserved = 1;
	assert_int_equal(on_request(r), WIRE_BAD_FIELD);
	r.magic = WIRE_REPLY_MAGIC;
	assert_int_equal(on_request(r), WIRE_BAD_MAGIC);
}

static enum wire_verdict on_reply(struct wire_data_reply r)
{
	unsigned char buf[sizeof r];
	struct wire_data_reply got;

	memcpy(buf, &r, sizeof r);
	return wire_decode_reply(buf, &got);
}

static void wrong_data_replies_are_refused(void **state)
{
	struct wire_data_reply r = { .magic = WIRE_REPLY_MAGIC };

	(void)state;
	assert_int_equal(on_reply(r), WIRE_OK);
	r.bytes = WIRE_DATA_MAX_BYTES + 1;
	assert_int_equal(on_reply(r), WIRE_BAD_LENGTH);
	r.bytes = 0;
	r.reserved = 1;
	assert_int_equal(on_reply(r), WIRE_BAD_FIELD);
	r.magic = WIRE_DATA_MAGIC;
	assert_int_equal(on_reply(r), WIRE_BAD_MAGIC);
}

static void every_verdict_has_words(void **state)
{
	(void)state;
	for (int v = WIRE_OK; v <= WIRE_BAD_FIELD; v++)
		assert_string_not_equal(wire_verdict_text((enum wire_verdict)v),
					"unknown");
}

/* --- anything at all --- */

/* Random bytes; three times of four with a header that is right so far. */
static void random_message(uint64_t *seed, unsigned char *buf)
{
	struct wire_message m;

	random_fill(seed, buf, WIRE_MESSAGE_MAX);
	if (random_next(seed) % 4 == 0)
		return;
	m.type = (uint16_t)(1 + random_next(seed) % (WIRE_TYPE_END - 1));
	memcpy(&m.hello, buf, WIRE_BODY_MAX);
	if (random_next(seed) % 2) /* printable, perhaps terminated */
		for (size_t i = 0; i < WIRE_BODY_MAX; i++)
			((char *)&m.hello)[i] = "abc \0"[random_next(seed) % 5];
	wire_encode(&m, buf);
	if (random_next(seed) % 4 == 0)
		buf[random_next(seed) % 16] ^= 1u << random_next(seed) % 8;
}

static void check_decoded(const struct wire_message *m)
{
	assert_true(wire_body_bytes(m->type) >= 0);
	if (m->type == WIRE_HELLO)
		assert_non_null(memchr(m->hello.name, 0, WIRE_NAME_BYTES));
	if (m->type == WIRE_ERROR)
		assert_non_null(
			memchr(m->error.text, 0, WIRE_ERROR_TEXT_BYTES));
	if (m->type == WIRE_WELCOME) {
		assert_true(m->welcome.slab_bytes >= 1 << 20);
		assert_non_null(memchr(m->welcome.zone, 0, WIRE_ZONE_BYTES));
	}
	if (m->type == WIRE_OPEN)
		assert_true(m->open.lanes > 0);
}

static void random_bytes_never_decode_to_something_unsafe(void **state)
{
	uint64_t seed = random_seed();
	unsigned decoded = 0;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		/* As many bytes as the header says and no more, so that a
		 * sanitizer sees a decoder that reads beyond them. */
		unsigned char buf[WIRE_MESSAGE_MAX], body[WIRE_BODY_MAX];
		struct wire_message m;
		struct wire_header h;

		random_message(&seed, buf);
		if (wire_decode_header(buf, &h) != WIRE_OK)
			continue;
		assert_true(h.body_bytes <= WIRE_BODY_MAX);
		memcpy(body, buf + sizeof h, h.body_bytes);
		if (wire_decode_body(&h, body, &m) != WIRE_OK)
			continue;
		check_decoded(&m);
		decoded++;
	}
	assert_true(decoded > 1000);
}

static void random_data_frames_keep_their_bounds(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (int i = 0; i < 50000; i++) {
		unsigned char buf[sizeof(struct wire_data_request)];
		struct wire_data_request request;
		struct wire_data_reply reply;
		uint32_t magic = i % 2 ? WIRE_DATA_MAGIC : WIRE_REPLY_MAGIC;

		random_fill(&seed, buf, sizeof buf);
		memcpy(buf, &magic, sizeof magic);
		memset(buf + 4, (int)(random_next(&seed) % 3), 4);
		buf[5] = buf[6] = buf[7] = 0;
		buf[15] &= 3;
		if (wire_decode_request(buf, &request) == WIRE_OK)
			assert_in_range(request.bytes, 1, WIRE_DATA_MAX_BYTES);
		if (wire_decode_reply(buf, &reply) == WIRE_OK)
			assert_in_range(reply.bytes, 0, WIRE_DATA_MAX_BYTES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_its_size),
		cmocka_unit_test(every_type_survives_the_round_trip),
		cmocka_unit_test(an_encoder_writes_no_more_than_it_says),
		cmocka_unit_test(an_open_has_these_bytes),
		cmocka_unit_test(a_slab_is_read_from_these_bytes),
		cmocka_unit_test(a_resume_has_these_bytes),
		cmocka_unit_test(a_release_is_read_from_these_bytes),
		cmocka_unit_test(a_data_request_has_these_bytes),
		cmocka_unit_test(a_data_reply_has_these_bytes),
		cmocka_unit_test(a_wrong_header_is_told_apart),
		cmocka_unit_test(another_version_is_told_with_its_number),
		cmocka_unit_test(every_length_but_the_types_own_is_refused),
		cmocka_unit_test(fields_that_no_peer_may_send_are_refused),
		cmocka_unit_test(text_that_cannot_be_printed_is_refused),
		cmocka_unit_test(names_and_zones_are_words),
		cmocka_unit_test(unterminated_text_is_refused),
		cmocka_unit_test(wrong_data_requests_are_refused),
		cmocka_unit_test(wrong_data_replies_are_refused),
		cmocka_unit_test(every_verdict_has_words),
		cmocka_unit_test(random_bytes_never_decode_to_something_unsafe),
		cmocka_unit_test(random_data_frames_keep_their_bounds),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
