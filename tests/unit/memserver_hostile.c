/* The whole memory server against clients that are broken or mean harm: what
 * they do to themselves must not reach anybody else, nor end what others have.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "memserver_client.h"
#include "net.h"

#define SLAB  (1u << 20)
#define SLABS 16
#define PAGE  4096u

static const char *program;
static struct daemon server;
static uint8_t data[PAGE];
static uint8_t back[PAGE];

static int setup(void **state)
{
	(void)state;
	daemon_start(&server, program,
		     (const char *const[]){ "--memory=16M", "--slab-size=1M",
					    "--stock=0", "--threads=2",
					    "--grace=60", NULL });
	for (unsigned i = 0; i < PAGE; i++)
		data[i] = (uint8_t)(i * 7 + 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	daemon_stop(&server);
	return 0;
}

/* The peer has closed: the end of the stream, or a reset. */
static bool is_closed(int fd)
{
	char byte;

	return net_recv_all(fd, &byte, 1, clock_now_ns() + 20 * NS_PER_S) ==
	       -ECONNRESET;
}

/* --- bytes on a control connection that no client sends --- */

/* A session with a page in it, whose control connection gets the N bytes of
 * WORDS: the connection ends, the session is resumed and has its page. */
static void survives(const void *words, size_t n)
{
	struct client broken;
	struct client again;
	struct wire_message m;
	uint8_t reply[sizeof(struct wire_header) + sizeof(struct wire_error)];
	uint32_t slab;
	int lane;

	client_open(&broken, &server);
	lane = lane_open(&broken);
	assert_true(client_alloc(&broken, &slab));
	assert_int_equal(lane_write(lane, slab, 0, data, PAGE), 0);
	assert_true(send_bytes(broken.fd, words, n));
	recv_bytes(broken.fd, reply, sizeof reply); /* why, if at all */
	assert_true(is_closed(broken.fd));
	assert_true(is_closed(lane));
	close(lane);
	client_lose(&broken);
	assert_int_equal(daemon_status(&server, "sessions"), 1);

	m = client_resume(&again, &broken);
	assert_int_equal(m.type, WIRE_RESUMED);
	assert_int_equal(m.resumed.slabs, 1);
	lane = lane_open(&again);
	memset(back, 0, PAGE);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	assert_memory_equal(back, data, PAGE);
	close(lane);
	client_close(&again);
	assert_true(daemon_becomes(&server, "sessions", 0));
}

static void wrong_bytes_leave_the_session(void **state)
{
	struct wire_message m = { .type = WIRE_PING };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t n = wire_encode(&m, bytes);

	(void)state;
	survives("sixteen  letters", 16);
	bytes[4] = 9; /* version */
	survives(bytes, n);
	bytes[4] = WIRE_VERSION;
	bytes[6] = 99; /* type */
	survives(bytes, n);
	bytes[6] = WIRE_PING;
	bytes[11] = 0x7f; /* length */
	survives(bytes, n);
	m = (struct wire_message){ .type = WIRE_HELLO };
	survives(bytes, wire_encode(&m, bytes)); /* out of place */
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(wrong_bytes_leave_the_session),
	};

	program = argc > 1 ? argv[1] : "rswap-memserver";
	return cmocka_run_group_tests(tests, NULL, NULL);
}
