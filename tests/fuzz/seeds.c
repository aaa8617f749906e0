/* Writes the inputs that have the wire's bytes in them, made by the program's
 * own encoder, so that they stay good when the protocol changes: seeds
 * DIRECTORY makes DIRECTORY/TARGET/NAME. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "nbd/protocol.h"
#include "private_data.h"
#include "tls.h"
#include "wire.h"

static const char *directory;

/* An input that grows. */
static uint8_t bytes[8192];
static size_t used;

static void add(const void *buf, size_t n)
{
	REQUIRE(used + n <= sizeof bytes);
	if (n)
		memcpy(bytes + used, buf, n);
	used += n;
}

static void add_byte(uint8_t byte)
{
	add(&byte, 1);
}

/* Writes the input, and begins the next one. */
static void finish(const char *target, const char *name)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", directory, target);
	REQUIRE(!mkdir(path, 0777) || errno == EEXIST);
	snprintf(path, sizeof path, "%s/%s/%s", directory, target, name);
	f = fopen(path, "we");
	REQUIRE(f && fwrite(bytes, 1, used, f) == used && !fclose(f));
	used = 0;
}

/* --- wire: a message of each type, with values that are allowed --- */

static struct wire_message message(uint16_t type)
{
	struct wire_message m = { .type = type };

	switch (type) {
	case WIRE_HELLO:
		strcpy(m.hello.name, "seed@host/1");
		break;
	case WIRE_WELCOME:
		m.welcome.slab_bytes = 1 << 20;
		m.welcome.total_bytes = m.welcome.free_bytes = 64 << 20;
		m.welcome.transports = WIRE_TRANSPORT_TCP;
		m.welcome.max_lanes = 264;
		strcpy(m.welcome.zone, "rack-7");
		break;
	case WIRE_OPEN:
		m.open.size_bytes = 4 << 20;
		m.open.lanes = 2;
		m.open.transport = WIRE_TRANSPORT_TCP;
		break;
	case WIRE_JOIN:
		m.join.session = 1; /* the first session's key */
		break;
	case WIRE_RESUME:
		m.resume.session = 1;
		break;
	case WIRE_SLAB:
		m.slab.bytes = 1 << 20;
		break;
	case WIRE_RELEASE:
		m.release.slabs = 1;
		m.release.error = WIRE_RELEASE_DRAIN;
		break;
	case WIRE_ERROR:
		m.error.code = WIRE_E_NO_MEMORY;
		strcpy(m.error.text, "no slab is free");
		break;
	default:
		break;
	}
	return m;
}

static void seed_wire(void)
{
	for (uint16_t type = 1; type < WIRE_TYPE_END; type++) {
		struct wire_message m = message(type);

		used = wire_encode(&m, bytes);
		finish("wire", wire_type_name(type));
	}
}

/* --- private data of rdma_cm, padded and not --- */

static void pad(size_t n)
{
	while (used < n)
		add_byte(0);
}

static void seed_private_data(void)
{
	struct wire_message join = message(WIRE_JOIN);
	struct wire_message error = message(WIRE_ERROR);

	used = wire_encode(&join, bytes);
	finish("private_data", "join");
	used = wire_encode(&join, bytes);
	pad(PRIVATE_DATA_REQUEST_MAX);
	finish("private_data", "join-padded");
	used = wire_encode(&join, bytes) - 1;
	finish("private_data", "join-short");
	used = wire_encode(&error, bytes);
	pad(PRIVATE_DATA_REJECT_MAX);
	finish("private_data", "error-padded");
	used = wire_encode(&error, bytes) - 1;
	finish("private_data", "error-short");
	finish("private_data", "nothing");
}

/* --- frames --- */

static void add_request(uint16_t op, uint32_t slab, uint64_t offset, uint32_t n)
{
	struct wire_data_request r = { .magic = WIRE_DATA_MAGIC,
				       .op = op,
				       .slab = slab,
				       .bytes = n,
				       .offset = offset,
				       .cookie = used };

	add(&r, sizeof r);
	for (uint32_t i = 0; op == WIRE_WRITE && i < n; i++)
		add_byte((uint8_t)(i * 5 + 1));
}

static void seed_frames(void)
{
	add_request(WIRE_WRITE, 0, 512, 100);
	add_request(WIRE_READ, 0, 512, 4096);
	finish("frames", "write-read");
	add_request(WIRE_READ, 0, 16384 - 512, 512);
	add_request(WIRE_READ, 1, 0, 1);
	finish("frames", "foreign-slab");
	add_request(WIRE_READ, 0, 16384, 1);
	finish("frames", "beyond");
	for (unsigned i = 0; i < 140; i++)
		add_request(WIRE_READ, 0, i, 1 + i % 3);
	finish("frames", "more-than-replies");
	add_request(WIRE_WRITE, 0, 0, 64);
	used -= 7;
	finish("frames", "cut-write");
}

/* --- control: scripts (control.c) --- */

static void script(unsigned client, unsigned what)
{
	add_byte((uint8_t)(client << 4 | what));
}

static void say(unsigned client, uint16_t type)
{
	struct wire_message m = message(type);

	script(client, 1);
	add_byte((uint8_t)type);
	add(&m.hello, (size_t)wire_body_bytes(type));
}

/* JOIN (2) and RESUME (3) with what another client got. */
static void take_over(unsigned client, unsigned what, unsigned other)
{
	script(client, what);
	add_byte((uint8_t)other);
}

static void add_frame(unsigned client, bool write, uint8_t page, uint8_t n)
{
	script(client, 4);
	add_byte(write);
	add_byte(page);
	add_byte(n);
}

static void open_session(unsigned client)
{
	say(client, WIRE_HELLO);
	say(client, WIRE_OPEN);
}

static void open_lane(unsigned client, unsigned lane)
{
	say(client, WIRE_LANE);
	take_over(lane, 2, client);
	say(client, WIRE_ALLOC);
	script(0, 6);
}

static void seed_control(void)
{
	open_session(0);
	open_lane(0, 1);
	add_frame(1, true, 3, 1);
	add_frame(1, false, 3, 1);
	say(0, WIRE_PING);
	say(0, WIRE_FREE);
	say(0, WIRE_BYE);
	finish("control", "session");
	open_session(0);
	open_lane(0, 1);
	add_frame(1, true, 0, 129);
	script(0, 6);
	say(0, WIRE_FREE);
	say(0, WIRE_PING);
	script(1, 5);
	finish("control", "freed-under-a-write");
	open_session(0);
	open_lane(0, 1);
	say(0, WIRE_FENCE);
	add_frame(1, false, 0, 0);
	say(2, WIRE_HELLO);
	take_over(2, 3, 0);
	script(0, 5);
	open_lane(2, 1);
	finish("control", "fence-resume");
	open_session(0);
	say(0, WIRE_ALLOC);
	script(0, 5);
	say(1, WIRE_HELLO);
	take_over(1, 3, 0);
	say(1, WIRE_ALLOC);
	script(1, 7);
	finish("control", "resume-alloc");
	for (unsigned i = 0; i < 4; i++)
		open_session(i);
	finish("control", "too-many");
	open_session(0);
	say(0, WIRE_LANE);
	say(1, WIRE_JOIN);
	say(2, WIRE_HELLO);
	say(2, WIRE_RESUME);
	finish("control", "wrong-tokens");
	script(0, 0);
	add_byte(5);
	add("hello", 5);
	say(1, WIRE_PONG);
	finish("control", "garbage");
}

/* --- mux: two bytes of its own, and a lane's replies (mux.c) --- */

static void add_reply(uint64_t number, uint32_t n)
{
	struct wire_data_reply r = { .magic = WIRE_REPLY_MAGIC,
				     .bytes = n,
				     .cookie = number };

	add(&r, sizeof r);
	for (uint32_t i = 0; i < n; i++)
		add_byte((uint8_t)(i * 3 + number));
}

static void seed_mux(void)
{
	struct wire_message joined = { .type = WIRE_JOINED };
	struct wire_data_reply refused = { .magic = WIRE_REPLY_MAGIC,
					   .status = WIRE_E_NO_SLAB };

	add_byte(3); /* four transfers, the second one a WRITE */
	add_byte(2);
	add_reply(0, 24);
	add_reply(1, 0);
	add_reply(2, 4096);
	add_reply(3, 27);
	finish("mux", "four");
	add_byte(1);
	add_byte(0);
	add_reply(0, 24);
	add(&refused, sizeof refused);
	finish("mux", "refused");
	add_byte(0x80);
	add_byte(0);
	used += wire_encode(&joined, bytes + used);
	add_reply(0, 24);
	add_reply(1, 24);
	finish("mux", "reply-to-nothing");
}

/* --- session: what a server sends (session.c) --- */

static void tell(uint16_t type)
{
	struct wire_message m = message(type);

	add_byte(0);
	add_byte((uint8_t)type);
	add(&m.hello, (size_t)wire_body_bytes(type));
}

static void tell_lanes(void)
{
	for (unsigned i = 0; i < 2; i++) { /* READs and WRITEs */
		add_byte(2);
		tell(WIRE_JOINED);
	}
}

static void tell_opened(void)
{
	tell(WIRE_WELCOME);
	tell(WIRE_OPENED);
	tell(WIRE_TOKEN);
	tell(WIRE_TOKEN);
}

static void seed_session(void)
{
	tell_opened();
	tell(WIRE_SLAB);
	tell(WIRE_RELEASE);
	tell(WIRE_SLAB);
	tell(WIRE_PONG);
	tell(WIRE_FREED);
	tell(WIRE_FREED);
	tell(WIRE_FENCED);
	tell(WIRE_PONG);
	tell_lanes();
	add_byte(2);
	tell(WIRE_WELCOME);
	tell(WIRE_RESUMED);
	tell(WIRE_PONG);
	add_byte(2);
	tell(WIRE_WELCOME);
	finish("session", "whole");
	tell_opened();
	tell(WIRE_ERROR);
	tell(WIRE_SLAB);
	tell(WIRE_ERROR);
	tell_lanes();
	finish("session", "refusals");
	add_byte(0);
	add_byte(WIRE_ERROR);
	for (int i = 0; i < wire_body_bytes(WIRE_ERROR); i++)
		add_byte(0);
	finish("session", "error-without-text");
	add_byte(1);
	add_byte(4);
	add("HTTP", 4);
	finish("session", "garbage");
}

/* --- nbd: a client's handshake and requests --- */

static void add_put(const uint8_t *from, const uint8_t *to)
{
	add(from, (size_t)(to - from));
}

static void add_option(enum nbd_option option, const void *buf, uint32_t n)
{
	uint8_t head[NBD_OPTION_BYTES];

	nbd_put32(nbd_put32(nbd_put64(head, NBD_OPTION_MAGIC), option), n);
	add(head, sizeof head);
	add(buf, n);
}

static void add_nbd_request(enum nbd_command command, uint64_t offset,
			    uint32_t count)
{
	uint8_t head[NBD_REQUEST_BYTES],
		*at = nbd_put32(head, NBD_REQUEST_MAGIC);

	at = nbd_put16(nbd_put16(at, 0), (uint16_t)command);
	nbd_put32(nbd_put64(nbd_put64(at, 7), offset), count);
	add(head, sizeof head);
}

static void seed_nbd(void)
{
	static const uint8_t go[] = { 0, 0, 0, 1, 'x', 0, 1, 0, 3 };
	static const uint8_t contexts[] =
		"\0\0\0\0\0\0\0\1\0\0\0\17base:allocation";
	uint8_t flags[4];

	add_put(flags, nbd_put32(flags, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES));
	add_option(NBD_OPT_LIST, NULL, 0);
	add_option(NBD_OPT_STRUCTURED_REPLY, NULL, 0);
	add_option(NBD_OPT_SET_META_CONTEXT, contexts, sizeof contexts - 1);
	add_option(NBD_OPT_INFO, go, sizeof go);
	add_option(NBD_OPT_GO, go, sizeof go);
	for (int command = 0; command <= NBD_CMD_BLOCK_STATUS; command++)
		add_nbd_request((enum nbd_command)command, 4096, 8192);
	finish("nbd", "go");
	add_put(flags, nbd_put32(flags, 0));
	add_option(NBD_OPT_EXPORT_NAME, "x", 1);
	add_nbd_request(NBD_CMD_WRITE, (UINT64_C(1) << 30) - 4096, 8192);
	finish("nbd", "export-name");
	add_put(flags, nbd_put32(flags, NBD_FIXED_NEWSTYLE));
	add_option(NBD_OPT_LIST_META_CONTEXT, contexts, 8);
	add_option(NBD_OPT_ABORT, NULL, 0);
	finish("nbd", "abort");
}

/* --- tls: the first words of a client that has another key --- */

static void seed_tls(void)
{
	const struct psk psk = { .name = "node", .key_bytes = 32 };
	struct tls_context *context;
	struct error why;
	struct tls *tls;
	ssize_t n;
	int end[2];

	context = tls_client_new(&psk, &why);
	fuzz_socketpair(end);
	REQUIRE(context && !fcntl(end[0], F_SETFL, O_NONBLOCK));
	tls = tls_open(context, end[0], &why);
	REQUIRE(tls && tls_handshake(tls, &why) == -EAGAIN);
	add_byte(0);
	n = recv(end[1], bytes + used, sizeof bytes - used, MSG_DONTWAIT);
	REQUIRE(n > 0);
	used += (size_t)n;
	finish("tls", "hello-of-another-key");
	tls_close(tls);
	tls_context_free(context);
	close(end[0]);
	close(end[1]);
}

int main(int argc, char **argv)
{
	REQUIRE(argc == 2);
	directory = argv[1];
	REQUIRE(!mkdir(directory, 0777) || errno == EEXIST);
	seed_wire();
	seed_private_data();
	seed_frames();
	seed_control();
	seed_mux();
	seed_session();
	seed_nbd();
	seed_tls();
	return 0;
}
