/* The memory server's side of control connections and of lanes, with sessions,
 * grants and slabs behind it: the server's own parts on a loop of this target,
 * and four clients.  The input is a script of what the clients do.
 *
 * Bytes of a script, for the client in bits 4 and 5 of the first:
 *
 *   0 N BYTE...    sends N bytes as they are
 *   1 TYPE BODY    a message with a good header, and a body of the type's size
 *   2 CLIENT       JOIN with the last token that CLIENT has got
 *   3 CLIENT       RESUME of CLIENT's session
 *   4 OP PAGE N    a data request for the last slab that any client has got,
 *                  with N pages of payload if it is a WRITE: half of them
 *                  where N is 128 or more, so that the WRITE stays open
 *   5              closes the connection; the next thing opens another
 *   6              waits until the server has done the work that was asked for
 *   7              sends no more
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "links/transports.h"
#include "server/server.h"

#define CLIENTS	   4
#define SLAB_BYTES (1u << 20)
#define SLABS	   6
#define FILES	   64
#define PAGE	   4096u

struct peer {
	int fd; /* -1: not connected */
	bool lane;
	struct wire_join token;
	struct wire_resume session;
	uint8_t in[WIRE_MESSAGE_MAX];
	size_t in_bytes;
};

static struct config config = { .threads = 1,
				.max_sessions = 3,
				.grace_s = 60 };
static struct server server;
static struct link_offer offer;
static struct peer peers[CLIENTS];
static uint32_t cookie, slab;

void fuzz_begin(void)
{
	struct slab_pool_config pool = { .memory_bytes = SLABS * SLAB_BYTES,
					 .slab_bytes = SLAB_BYTES };
	struct error why;

	config.memory_bytes = pool.memory_bytes;
	server.config = &config;
	/* as the server does (memserver/main.c) */
	server.loop = ev_loop_new(EVBACKEND_POLL);
	REQUIRE(server.loop);
	mailbox_open(&server.box, server.loop);
	REQUIRE(!slab_pool_open(&server.pool, &pool, &server.preparer, &why));
	server_connect_parts(&server);
	accounts_limit_files(&server.sessions.accounts, FILES);
	REQUIRE(!workq_start(&server.preparer, "preparer", &server.box, &why));
	REQUIRE(!workq_start(&server.teardown, "teardown", &server.box, &why));
	REQUIRE(!transports_open(&server.links,
				 transport_by_bit(WIRE_TRANSPORT_TCP), &why));
	offer.transports = WIRE_TRANSPORT_TCP;
	for (unsigned i = 0; i < CLIENTS; i++)
		peers[i].fd = -1;
}

/* --- what the server answers --- */

static void note_reply(struct peer *p, const struct wire_message *m)
{
	switch (m->type) {
	case WIRE_OPENED:
		p->session.session = m->opened.session;
		memcpy(p->session.token, m->opened.token, WIRE_TOKEN_BYTES);
		break;
	case WIRE_RESUMED:
		for (unsigned i = 0; i < CLIENTS; i++) {
			if (peers[i].session.session == m->resumed.session)
				memcpy(peers[i].session.token, m->resumed.token,
				       WIRE_TOKEN_BYTES);
		}
		break;
	case WIRE_TOKEN:
		p->token.session = m->token.session;
		p->token.lane = m->token.lane;
		memcpy(p->token.token, m->token.token, WIRE_TOKEN_BYTES);
		break;
	case WIRE_SLAB:
		REQUIRE(m->slab.slab < SLABS);
		slab = m->slab.slab;
		break;
	case WIRE_JOINED:
		p->lane = true;
		break;
	default:
		REQUIRE(m->type == WIRE_WELCOME || m->type == WIRE_FREED ||
			m->type == WIRE_FENCED || m->type == WIRE_PONG ||
			m->type == WIRE_ERROR || m->type == WIRE_RELEASE);
	}
}

/* Whatever a client sends, the server answers with good messages. */
static void take_message(struct peer *p)
{
	struct wire_message m;
	struct wire_header h;

	if (p->in_bytes < sizeof h)
		return;
	REQUIRE(wire_decode_header(p->in, &h) == WIRE_OK);
	if (p->in_bytes < sizeof h + h.body_bytes)
		return;
	REQUIRE(wire_decode_body(&h, p->in + sizeof h, &m) == WIRE_OK);
	p->in_bytes = 0;
	note_reply(p, &m);
}

static void hear(struct peer *p)
{
	uint8_t byte;

	while (!p->lane && p->fd >= 0 &&
	       recv(p->fd, &byte, 1, MSG_DONTWAIT) == 1) {
		p->in[p->in_bytes++] = byte;
		take_message(p);
	}
	while (p->lane && recv(p->fd, p->in, sizeof p->in, MSG_DONTWAIT) > 0)
		;
}

static void turn(void)
{
	ev_run(server.loop, EVRUN_NOWAIT);
	for (unsigned i = 0; i < CLIENTS; i++)
		hear(&peers[i]);
}

/* --- waiting for the server's thread that prepares slabs --- */

static bool reached;

static void nothing_to_do(struct work *work)
{
	(void)work;
}

static void reach(struct work *work)
{
	(void)work;
	reached = true;
}

/* Until all work is done that is queued now. */
static void wait_for_work(void)
{
	static struct work work = { .run = nothing_to_do, .done = reach };

	reached = false;
	workq_submit(&server.preparer, &work);
	while (!reached)
		ev_run(server.loop, EVRUN_ONCE);
	turn();
}

/* --- what the clients do --- */

static void connect_peer(struct peer *p)
{
	int end[2];

	if (p->fd >= 0)
		return;
	fuzz_socketpair(end);
	p->fd = end[1];
	p->lane = false;
	p->in_bytes = 0;
	control_accept(&server.controls, &offer, end[0]);
}

static void disconnect(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* The server may have closed the connection, or a lane may be full. */
static void put(struct peer *p, const void *buf, size_t bytes)
{
	connect_peer(p);
	(void)!send(p->fd, buf, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void put_message(struct peer *p, struct wire_message *m)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];

	m->cookie = ++cookie;
	put(p, bytes, wire_encode(m, bytes));
}

static void put_any(struct peer *p, struct input *in)
{
	struct wire_message m = { .type = input_byte(in) % WIRE_TYPE_END };

	if (!m.type)
		return;
	input_fill(in, &m.hello, (size_t)wire_body_bytes(m.type));
	put_message(p, &m);
}

static void put_join(struct peer *p, struct input *in)
{
	struct wire_message m = { .type = WIRE_JOIN };

	m.join = peers[input_byte(in) % CLIENTS].token;
	put_message(p, &m);
}

static void put_resume(struct peer *p, struct input *in)
{
	struct wire_message m = { .type = WIRE_RESUME };

	m.resume = peers[input_byte(in) % CLIENTS].session;
	put_message(p, &m);
}

static void put_frame(struct peer *p, struct input *in)
{
	static uint8_t payload[4 * PAGE];
	uint8_t op = input_byte(in), page = input_byte(in), n = input_byte(in);
	struct wire_data_request r = {
		.magic = WIRE_DATA_MAGIC,
		.op = op % 2 ? WIRE_WRITE : WIRE_READ,
		.slab = slab,
		.offset = (uint64_t)page * PAGE,
		.bytes = (1u + n % 4) * PAGE,
		.cookie = ++cookie,
	};

	put(p, &r, sizeof r);
	if (r.op == WIRE_WRITE)
		put(p, payload, n < 128 ? r.bytes : r.bytes / 2);
}

static void put_raw(struct peer *p, struct input *in)
{
	const uint8_t *at;
	size_t n = input_take(in, input_byte(in), &at);

	put(p, at, n);
}

static void step(struct input *in)
{
	uint8_t what = input_byte(in);
	struct peer *p = &peers[what / 16 % CLIENTS];

	switch (what % 8) {
	case 0:
		put_raw(p, in);
		break;
	case 1:
		put_any(p, in);
		break;
	case 2:
		put_join(p, in);
		break;
	case 3:
		put_resume(p, in);
		break;
	case 4:
		put_frame(p, in);
		break;
	case 5:
		disconnect(p);
		break;
	case 6:
		wait_for_work();
		break;
	case 7:
		if (p->fd >= 0)
			shutdown(p->fd, SHUT_WR);
	}
}

/* --- the end: nothing is left --- */

static void end_all(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		disconnect(&peers[i]);
		peers[i] = (struct peer){ .fd = -1 };
	}
	control_close_all(&server.controls, "the script is over");
	session_end_disconnected(&server.sessions, "the script is over");
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	wait_for_work();
	REQUIRE(TAILQ_EMPTY(&server.controls.list));
	REQUIRE(!server.controls.admission.count[0] &&
		!server.controls.admission.count[1]);
	REQUIRE(TAILQ_EMPTY(&server.sessions.accounts.clients));
	for (unsigned i = 0; i < N_LIMITED; i++)
		REQUIRE(!server.sessions.accounts.server.used[i]);
	REQUIRE(TAILQ_EMPTY(&server.tenants.list) && !server.tenants.slabs);
	REQUIRE(!slab_pool_figures(&server.pool).used);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	cookie = slab = server.sessions.last_key = 0;
	while (in.left) {
		step(&in);
		turn();
	}
	end_all();
	return 0;
}
