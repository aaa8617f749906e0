/* What a plugin reads on its control connections (plugin/servers/session*.c,
 * common/wireio.c), from OPEN to RESUME, and on lanes that join.
 *
 * The input is what the server sends, one connection after the other:
 *
 *   0 TYPE BODY   a message with a good header and the cookie that is expected,
 *                 and a body of the type's size
 *   1 N BYTE...   N bytes as they are
 *   2             no more on this connection; the next one follows
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "engine.h"
#include "fuzz.h"
#include "servers/placement.h"
#include "servers/session.h"

#define SLAB_BYTES (1u << 20)
#define ENDS_MAX   64

static struct engine engine;
static struct server *server;
static struct net_name name = { "server", 1 };
static struct input script;
/* The server's ends: open as long as the input is run, so that no reset
 * overtakes what they have said. */
static int ends[ENDS_MAX];
static unsigned n_ends;

/* --- the server --- */

static void say(int fd, uint32_t cookie, struct wire_message *m)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];

	m->cookie = m->type == WIRE_RELEASE ? 0 : cookie;
	fuzz_put(fd, bytes, wire_encode(m, bytes));
}

/* WELCOME and JOINED have no cookie but 0.  The messages behind WELCOME answer
 * the session's next questions. */
static void say_message(int fd, unsigned *n)
{
	struct wire_message m = { .type = input_byte(&script) % WIRE_TYPE_END };

	if (!m.type)
		return;
	input_fill(&script, &m.hello, (size_t)wire_body_bytes(m.type));
	say(fd, *n ? server->session.next_cookie + *n : 0, &m);
	*n += m.type != WIRE_RELEASE;
}

static void say_bytes(int fd)
{
	const uint8_t *at;
	size_t n = input_take(&script, input_byte(&script), &at);

	fuzz_put(fd, at, n);
}

static void run_connection(int fd)
{
	unsigned n = 0;

	while (script.left) {
		uint8_t what = input_byte(&script) % 3;

		if (what == 0)
			say_message(fd, &n);
		else if (what == 1)
			say_bytes(fd);
		else
			break;
	}
	shutdown(fd, SHUT_WR);
}

int __wrap_net_connect(const struct net_addr *addr, uint64_t deadline_ns,
		       struct error *why);
int __wrap_net_resolve(const struct net_name *asked, struct net_addrs *addrs,
		       struct error *why);

int __wrap_net_connect(const struct net_addr *addr, uint64_t deadline_ns,
		       struct error *why)
{
	int end[2];

	(void)addr, (void)deadline_ns;
	if (n_ends == ENDS_MAX || !script.left) {
		error_set(why, "the script is over");
		return -ECONNREFUSED;
	}
	fuzz_socketpair(end);
	ends[n_ends++] = end[1];
	run_connection(end[1]);
	return end[0];
}

int __wrap_net_resolve(const struct net_name *asked, struct net_addrs *addrs,
		       struct error *why)
{
	(void)asked, (void)why;
	*addrs = (struct net_addrs){ .n = 1 };
	return 0;
}

/* --- the plugin --- */

static void set_up(void)
{
	struct engine_config config = { .servers = &name,
					.n_servers = 1,
					.size_bytes = 4 * SLAB_BYTES,
					.transport = &transport_tcp,
					.lanes = 1,
					.redundancy.copies = 1,
					.timeout_ns = 60 * NS_PER_S };
	struct error why;

	REQUIRE(!engine_create(&engine, &config, SLAB_BYTES, NULL, &why));
	server = &engine.servers[0];
}

static void tear_down(void)
{
	session_close_links(server);
	session_close(server);
	lane_pool_close(&engine.lanes, 0);
	engine_destroy(&engine);
	while (n_ends)
		close(ends[--n_ends]);
}

static void ask_for_shard(struct slab_shard *shard)
{
	shard->index = 0;
	shard->server = 0;
	atomic_store(&shard->for_repair, true);
	atomic_store(&shard->state, SHARD_ASKED);
	REQUIRE(server_ask_shard(server, shard));
}

static void use_session(void)
{
	struct slab_shard *shards[2] = { &engine.slabs.slabs[0].shards[0],
					 &engine.slabs.slabs[1].shards[0] };
	struct error why = { "" };

	server_set_state(server, SERVER_UP);
	for (unsigned i = 0; i < 2; i++)
		ask_for_shard(shards[i]);
	/* whatever heals the session from here on gives up at once */
	atomic_store(&server->shared.stopping, true);
	session_alloc_slabs(server, &why);
	for (unsigned i = 0; i < 2; i++)
		placement_give_back(&engine, shards[i], SHARD_SPARE);
	session_ask_figures(server, session_call_once, &why);
	session_alloc_slabs(server, &why);
	session_heal(server, &why);
}

static void use_server(void)
{
	struct error why = { "" };

	if (session_open(server, &why)) {
		REQUIRE(*why.text);
		return;
	}
	use_session();
	/* and once more, after the connection is lost */
	session_close_links(server);
	session_drop(server);
	atomic_store(&server->shared.stopping, false);
	if (!session_resume(server, &why))
		session_ask_figures(server, session_call_once, &why);
}

static void probe(void)
{
	struct wire_welcome welcome;
	struct error why = { "" };

	if (session_probe(&name, NULL, NULL, clock_now_ns() + 60 * NS_PER_S,
			  &welcome, &why))
		REQUIRE(*why.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	script = (struct input){ data, size };
	set_up();
	use_server();
	if (script.left)
		probe();
	tear_down();
	return 0;
}
