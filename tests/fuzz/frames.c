/* A lane's bytes as the memory server takes them
 * (memserver/links/tcp_frames.c). The input is what the client sends; a second
 * reading of it says what the server has to answer and what the slabs have to
 * hold afterwards. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "links/tcp_link.h"

#define SLAB_BYTES (16u << 10)
#define SLABS	   3
#define OWN_KEY	   7
#define OTHER_KEY  9

/* On the heap, each by itself: a sanitizer sees what reads or writes beyond. */
static uint8_t *memory[SLABS];
static struct slab slabs[SLABS];
static struct slab_pool pool = { .slab_bytes = SLAB_BYTES,
				 .count = SLABS,
				 .slabs = slabs };
static struct data_loop loop;
static struct tcp_link lane;
static uint8_t expected[SLAB_BYTES];

void fuzz_begin(void)
{
	/* slab 0 is the lane's, slab 1 of another session, slab 2 of none */
	static const uint32_t owners[SLABS] = { OWN_KEY, OTHER_KEY, 0 };

	for (unsigned i = 0; i < SLABS; i++) {
		memory[i] = malloc(SLAB_BYTES);
		REQUIRE(memory[i]);
		slabs[i] = (struct slab){ .pool = &pool,
					  .memory = memory[i],
					  .number = i,
					  .hold = (uint64_t)owners[i] << 32 };
	}
	loop.ev = ev_loop_new(EVFLAG_AUTO);
	REQUIRE(loop.ev);
	TAILQ_INIT(&loop.members);
}

static void never(struct ev_loop *ev, ev_timer *timer, int events)
{
	(void)ev, (void)timer, (void)events;
}

static void open_lane(int fd)
{
	for (unsigned i = 0; i < SLABS; i++)
		memset(memory[i], (int)(0x40 + i), SLAB_BYTES);
	memset(expected, 0x40, SLAB_BYTES);
	memset(&lane, 0, sizeof lane);
	lane.loop = &loop;
	lane.pool = &pool;
	lane.owner = OWN_KEY;
	lane.fd = fd;
	ev_timer_init(&lane.leave_limit, never, 1., 0.);
}

/* --- what has to come --- */

/* The end of all requests that are served: WHY, or 0 at the end of the input.
 */
struct forecast {
	unsigned replies;
	uint32_t last_status;
};

static struct forecast foresee(const uint8_t *data, size_t size)
{
	struct forecast f = { 0, 0 };
	struct wire_data_request r;

	while (!f.last_status && size >= sizeof r) {
		enum wire_verdict verdict = wire_decode_request(data, &r);
		bool write = r.op == WIRE_WRITE;
		uint32_t n = r.bytes;

		data += sizeof r;
		size -= sizeof r;
		if (verdict != WIRE_OK)
			f.last_status = WIRE_E_PROTOCOL;
		else if (r.slab != 0)
			f.last_status = WIRE_E_NO_SLAB;
		else if (r.offset > SLAB_BYTES || n > SLAB_BYTES - r.offset)
			f.last_status = WIRE_E_PROTOCOL;
		if (!f.last_status && write) {
			if (n > size)
				n = (uint32_t)size;
			memcpy(expected + r.offset, data, n);
			data += n;
			size -= n;
			if (n < r.bytes)
				break; /* it never comes to an end */
		}
		f.replies++;
	}
	return f;
}

/* --- what comes --- */

struct replies {
	unsigned n;
	uint32_t last_status;
	uint8_t head[sizeof(struct wire_data_reply)];
	size_t head_bytes;
	size_t payload_left;
};

static void take_reply(struct replies *r)
{
	struct wire_data_reply reply;

	REQUIRE(!r->last_status); /* the last one before the end */
	REQUIRE(wire_decode_reply(r->head, &reply) == WIRE_OK);
	REQUIRE(reply.bytes <= SLAB_BYTES);
	REQUIRE(!reply.status || !reply.bytes);
	r->head_bytes = 0;
	r->payload_left = reply.bytes;
	r->last_status = reply.status;
	r->n++;
}

static void take_bytes(struct replies *r, const uint8_t *at, size_t bytes)
{
	while (bytes) {
		size_t n = r->payload_left;

		if (n > bytes)
			n = bytes;
		r->payload_left -= n;
		at += n;
		bytes -= n;
		if (!bytes)
			break;
		r->head[r->head_bytes++] = *at++;
		bytes--;
		if (r->head_bytes == sizeof r->head)
			take_reply(r);
	}
}

static void drain(int fd, struct replies *r)
{
	static uint8_t buf[256 << 10];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0)
		take_bytes(r, buf, (size_t)n);
}

/* As the data thread does it (memserver/links/tcp.c). */
static void serve(int peer, struct replies *r)
{
	bool drained, more = false;

	while (!lane.dead && lane.state == RUNNING) {
		if (!more && lane.queued < REPLIES)
			tcp_receive(&lane, &drained);
		more = tcp_serve_input(&lane);
		REQUIRE(lane.in_at <= lane.in_end && lane.in_end <= IN_BYTES);
		REQUIRE(lane.queued <= REPLIES);
		tcp_flush(&lane);
		drain(peer, r);
	}
	while (lane.queued && !lane.dead) {
		tcp_flush(&lane);
		drain(peer, r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct replies replies = { 0 };
	struct forecast forecast;
	int end[2];

	fuzz_socketpair(end);
	open_lane(end[0]);
	forecast = foresee(data, size);
	fuzz_put(end[1], data, size);
	shutdown(end[1], SHUT_WR);
	serve(end[1], &replies);
	REQUIRE(replies.n == forecast.replies);
	REQUIRE(replies.last_status == forecast.last_status);
	REQUIRE(!replies.head_bytes && !replies.payload_left);
	tcp_drop_all(&lane);
	ev_timer_stop(loop.ev, &lane.leave_limit);
	close(end[0]);
	close(end[1]);
	REQUIRE(!memcmp(memory[0], expected, SLAB_BYTES));
	/* all bytes are the first, and the first is as it was */
	for (unsigned i = 1; i < SLABS; i++)
		REQUIRE(memory[i][0] == 0x40 + i &&
			!memcmp(memory[i], memory[i] + 1, SLAB_BYTES - 1));
	for (unsigned i = 0; i < SLABS; i++)
		REQUIRE(!(uint32_t)slabs[i].hold);
	return 0;
}
