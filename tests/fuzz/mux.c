/* What a plugin reads on a lane (plugin/transport/mux*.c).
 *
 * The first byte: bit 7 has JOINED be a part of the input too; the others are
 * how many transfers there are.  The second says of each whether it is a WRITE.
 * All that follows is what the server sends, and then no more.  A second
 * reading of it foretells which transfers succeed, and with which bytes. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "fuzz.h"
#include "transport/mux.h"

#define OPS_MAX	 8
#define LIMIT_NS (60 * NS_PER_S)

static int server_end[2];

struct transfer {
	struct xfer xfer;
	struct mux_op op;
	/* what the reading of the input foretells: a READ's bytes */
	bool succeeds;
	const uint8_t *payload;
};

/* mux.c's: the connection is a pair, whose other end has said all by now. */
int __wrap_net_connect(const struct net_addr *addr, uint64_t deadline_ns,
		       struct error *why);

int __wrap_net_connect(const struct net_addr *addr, uint64_t deadline_ns,
		       struct error *why)
{
	(void)addr, (void)deadline_ns, (void)why;
	return server_end[0];
}

static uint32_t bytes_of(unsigned i)
{
	return i % 3 == 2 ? 4096 : 24 + i;
}

static void fill(struct transfer *t, unsigned n, uint8_t writes,
		 struct mux_waiter *waiter)
{
	for (unsigned i = 0; i < n; i++) {
		bool write = writes >> i & 1;
		uint32_t bytes = bytes_of(i);

		/* by itself on the heap, for the sanitizer */
		t[i].xfer = (struct xfer){ .op = write ? XFER_WRITE : XFER_READ,
					   .bytes = bytes,
					   .buf = calloc(1, bytes),
					   .status = -EINPROGRESS };
		REQUIRE(t[i].xfer.buf);
		t[i].op = (struct mux_op){
			.busy = true,
			.next = i + 1 < n ? &t[i + 1].op : NULL,
			.xfer = &t[i].xfer,
			.waiter = waiter,
			.cookie = i,
			.frame = { .magic = WIRE_DATA_MAGIC,
				   .op = write ? WIRE_WRITE : WIRE_READ,
				   .bytes = bytes,
				   .cookie = i },
		};
	}
}

static void foresee(struct transfer *t, unsigned n, const uint8_t *data,
		    size_t size)
{
	for (unsigned i = 0; i < n; i++) {
		bool read = t[i].xfer.op == XFER_READ;
		uint32_t payload = read ? t[i].xfer.bytes : 0;
		struct wire_data_reply reply;

		if (size < sizeof reply ||
		    wire_decode_reply(data, &reply) != WIRE_OK ||
		    reply.cookie != i || reply.status ||
		    reply.bytes != payload || size - sizeof reply < payload)
			return;
		t[i].succeeds = true;
		t[i].payload = data + sizeof reply;
		data += sizeof reply + payload;
		size -= sizeof reply + payload;
	}
}

static void check(const struct transfer *t)
{
	const struct xfer *x = &t->xfer;

	REQUIRE(!t->op.busy);
	REQUIRE(x->status <= 0 && x->status != -EINPROGRESS);
	REQUIRE((x->status == 0) == t->succeeds);
	if (t->succeeds && x->op == XFER_READ)
		REQUIRE(!memcmp(x->buf, t->payload, x->bytes));
}

static void transfer(struct mux *mux, unsigned n, uint8_t writes,
		     const struct input *in)
{
	struct mux_waiter waiter = { .bit = 1 };
	struct transfer t[OPS_MAX] = { 0 };

	fill(t, n, writes, &waiter);
	foresee(t, n, in->data, in->left);
	mux_submit(mux, &t[0].op, &t[n - 1].op);
	for (unsigned i = 0; i < n; i++)
		mux_wait(mux, &waiter, &t[i].xfer, 1, 1,
			 clock_now_ns() + LIMIT_NS, 0);
	for (unsigned i = 0; i < n; i++) {
		check(&t[i]);
		free(t[i].xfer.buf);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_message joined = { .type = WIRE_JOINED };
	struct wire_join token = { 0 };
	struct net_addr addr = { 0 };
	struct input in = { data, size };
	uint8_t head = input_byte(&in), writes = input_byte(&in);
	uint8_t bytes[WIRE_MESSAGE_MAX];
	struct mux *mux;
	struct error why;

	fuzz_socketpair(server_end);
	if (!(head & 0x80))
		fuzz_put(server_end[1], bytes, wire_encode(&joined, bytes));
	fuzz_put(server_end[1], in.data, in.left);
	shutdown(server_end[1], SHUT_WR);
	if (!mux_open(&addr, &token, LIMIT_NS, clock_now_ns() + LIMIT_NS, &mux,
		      &why)) {
		const uint8_t *at;

		if (head & 0x80) /* a JOINED, so of its length */
			input_take(&in, wire_encode(&joined, bytes), &at);
		transfer(mux, 1 + head % OPS_MAX, writes, &in);
		mux_close(mux);
	}
	close(server_end[1]);
	return 0;
}
