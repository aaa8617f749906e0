/* The session with a server that loses answers, hangs, forgets or is gone: a
 * script on a real socket.  The test itself is the session's thread. */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine.h"
#include "servers/session.h"
#include "support.h"
#include "transport/rdma.h"
#include "wireio.h"

#define SLAB_BYTES (1u << 20)
#define FDS_MAX	   32
#define SESSION	   UINT64_C(0x123456789)

static struct engine engine;
static struct server *server;
static struct net_name names[2]; /* of the second one only the state matters */

/* --- the server --- */

/* What it does, set before anything is asked. */
static struct {
	uint16_t lose;	  /* type of the message whose answer is lost, once */
	uint16_t swallow; /* type of the one that is not answered, once */
	uint16_t garble;  /* type whose answer arrives changed, */
	unsigned garbles; /* so often */
	bool no_ping;	  /* PING is refused, once */
	bool no_session;  /* RESUME finds nothing */
	bool no_slab;	  /* FREE finds nothing */
	bool full;	  /* ALLOC finds no room */
	bool restarts;	  /* another incarnation for each connection */
	bool gone;	  /* nobody listens once a connection is lost */
	bool release;	  /* RELEASE before every PONG */
	bool flood;	  /* RELEASE without end in the place of a PONG, once */
	bool give_back; /* slab 3, by the plugin, when it asks for one, once */
	/* A transfer fails at the next FREE, and its slab is given back. */
	bool breaks;
	bool rdma;	     /* it is offered */
	unsigned rdma_fails; /* so many connections by it do */
	bool rdma_loses;     /* the control connection, when one does */
} script;

static struct {
	int fds[FDS_MAX]; /* the listener first */
	nfds_t n;
	pthread_t thread;
	atomic_bool stop;
	uint8_t incarnation;
	bool wrong_resume;
	uint8_t token; /* each byte of the token that resumes */
	unsigned frees_before_alloc;
	bool free_lost;		 /* and not asked again */
	bool wrong_alloc;	 /* asked meanwhile */
	unsigned unfenced_frees; /* while RECOVERING */
	_Atomic unsigned received[WIRE_TYPE_END];
	_Atomic uint64_t label; /* of the last ALLOC */
	struct wire_open open;
} machine;

static int send_to(int fd, const struct wire_message *m)
{
	struct stream stream = stream_plain(fd);
	struct error ignored;

	return wire_send(&stream, m, after_ms(LONG_MS), &ignored);
}

static int send_release(int fd)
{
	struct wire_message m = { .type = WIRE_RELEASE,
				  .release = { .slabs = 7,
					       .error = WIRE_RELEASE_DRAIN } };

	return send_to(fd, &m);
}

static void fill_error(struct wire_message *m, uint32_t code)
{
	m->type = WIRE_ERROR;
	m->error = (struct wire_error){ .code = code, .text = "as scripted" };
}

static void fill_welcome(struct wire_message *m)
{
	m->type = WIRE_WELCOME;
	m->welcome = (struct wire_welcome){ .slab_bytes = SLAB_BYTES,
					    .total_bytes = 64 * SLAB_BYTES,
					    .free_bytes = 64 * SLAB_BYTES,
					    .transports = WIRE_TRANSPORT_TCP,
					    .max_lanes = 16,
					    .zone = "rack-7" };
	if (script.rdma)
		m->welcome.transports |= WIRE_TRANSPORT_RDMA;
	machine.incarnation += script.restarts;
	m->welcome.incarnation[3] = machine.incarnation;
}

static void fill_resumed(struct wire_message *m)
{
	const struct wire_resume resume = m->resume;
	uint8_t token[WIRE_TOKEN_BYTES];

	memset(token, machine.token, sizeof token);
	if (resume.session != SESSION ||
	    memcmp(resume.token, token, sizeof token) != 0)
		machine.wrong_resume = true;
	machine.token++;
	m->type = WIRE_RESUMED;
	m->resumed = (struct wire_resumed){ .session = SESSION };
	memset(m->resumed.token, machine.token, sizeof m->resumed.token);
	if (script.no_session)
		fill_error(m, WIRE_E_NO_SESSION);
}

static unsigned received(uint16_t type)
{
	return atomic_load(&machine.received[type]);
}

/* Turns a question into its answer. */
static void fill_answer(struct wire_message *m)
{
	uint64_t label = m->alloc.label;

	switch (m->type) {
	case WIRE_HELLO:
		fill_welcome(m);
		break;
	case WIRE_OPEN:
		machine.open = m->open;
		m->type = WIRE_OPENED;
		m->opened =
			(struct wire_opened){ .session = SESSION,
					      .free_bytes = 64 * SLAB_BYTES };
		memset(m->opened.token, machine.token, sizeof m->opened.token);
		break;
	case WIRE_RESUME:
		fill_resumed(m);
		break;
	case WIRE_LANE:
		m->type = WIRE_TOKEN;
		m->token = (struct wire_token){ .session = SESSION };
		break;
	case WIRE_JOIN:
		m->type = WIRE_JOINED;
		m->joined = (struct wire_joined){ 0 };
		break;
	case WIRE_ALLOC:
		atomic_store(&machine.label, label);
		if (script.give_back)
			server_give_back(server, 3, 1);
		script.give_back = false;
		m->type = WIRE_SLAB;
		m->slab = (struct wire_slab){ .label = label,
					      .bytes = SLAB_BYTES,
					      .slab = 3 };
		if (script.full)
			fill_error(m, WIRE_E_NO_MEMORY);
		break;
	case WIRE_FREE:
		machine.unfenced_frees +=
			server_state(server) == SERVER_RECOVERING &&
			!received(WIRE_FENCE);
		if (script.breaks) {
			server_break(server, "a transfer failed");
			server_give_back(server, 20, 2);
		}
		script.breaks = false;
		m->type = WIRE_FREED;
		m->freed = (struct wire_freed){ .free_bytes = 5 };
		if (script.no_slab)
			fill_error(m, WIRE_E_NO_SLAB);
		break;
	case WIRE_FENCE:
		m->type = WIRE_FENCED;
		m->fenced = (struct wire_fenced){ 0 };
		break;
	default:
		m->type = WIRE_PONG;
		m->pong = (struct wire_pong){ 0 };
		if (script.no_ping)
			fill_error(m, WIRE_E_PROTOCOL);
		script.no_ping = false;
		break;
	}
}

static void forget(nfds_t i)
{
	close(machine.fds[i]);
	machine.fds[i] = machine.fds[--machine.n];
}

/* Answers what has come at fds[I], or loses it. */
static void serve_one(nfds_t i)
{
	struct stream stream = stream_plain(machine.fds[i]);
	struct wire_message m;
	struct error ignored;

	if (wire_recv(&stream, &m, after_ms(LONG_MS), &ignored)) {
		forget(i);
		return;
	}
	atomic_fetch_add(&machine.received[m.type], 1);
	machine.wrong_alloc |= m.type == WIRE_ALLOC && machine.free_lost;
	if (m.type == WIRE_ALLOC && atomic_load(&machine.received[m.type]) == 1)
		machine.frees_before_alloc =
			atomic_load(&machine.received[WIRE_FREE]);
	if (m.type == WIRE_FREE)
		machine.free_lost =
			script.swallow == WIRE_FREE || script.lose == WIRE_FREE;
	if (m.type == script.swallow) {
		script.swallow = 0;
		return;
	}
	if (m.type == script.lose) {
		script.lose = 0;
		forget(i);
		if (script.gone)
			forget(0);
		return;
	}
	if (m.type == script.garble && script.garbles > 0) {
		script.garbles--;
		(void)!write(machine.fds[i], "what is no message at all", 25);
		return;
	}
	if (m.type == WIRE_PING && script.flood) {
		script.flood = false;
		while (!send_release(machine.fds[i]))
			continue;
		return;
	}
	if (m.type == WIRE_PING && script.release)
		send_release(machine.fds[i]);
	fill_answer(&m);
	send_to(machine.fds[i], &m);
}

static void *server_thread(void *arg)
{
	(void)arg;
	while (!atomic_load(&machine.stop)) {
		struct pollfd p[FDS_MAX];
		int listener = machine.fds[0];

		for (nfds_t i = 0; i < machine.n; i++)
			p[i] = (struct pollfd){ .fd = machine.fds[i],
						.events = POLLIN };
		if (poll(p, machine.n, 10) <= 0)
			continue;
		for (nfds_t i = machine.n; i-- > 0;) {
			if (!p[i].revents)
				continue;
			if (p[i].fd != listener || script.gone)
				serve_one(i);
			else if (machine.n < FDS_MAX)
				machine.fds[machine.n++] =
					accept(listener, NULL, NULL);
		}
	}
	return NULL;
}

static void server_start(void)
{
	struct net_addrs addrs;
	struct net_addr addr;
	struct error why;

	memset(&machine, 0, sizeof machine);
	strcpy(names[0].host, "127.0.0.1");
	names[0].port = 0;
	names[1] = names[0];
	assert_int_equal(net_resolve(&names[0], &addrs, &why), 0);
	machine.fds[machine.n++] = net_listen(&addrs.addr[0], &why);
	assert_true(machine.fds[0] >= 0);
	assert_true(net_local_addr(machine.fds[0], &addr));
	names[0].port = net_addr_port(&addr);
	machine.thread = thread_start(server_thread, NULL);
}

/* --- RDMA that connects, or not --- */

bool __wrap_rdma_available(struct error *why);
int __wrap_rdma_channel_create(const struct channel_config *config,
			       struct channel **channel, struct error *why);
void __wrap_rdma_channel_destroy(struct channel *channel);
int __wrap_rdma_link_connect(struct channel *channel,
			     const struct link_target *target,
			     uint64_t deadline_ns, struct link **out,
			     struct error *why);
void __wrap_rdma_link_close(struct link *link);
void __wrap_rdma_link_describe(const struct link *link, struct link_path *path);

static unsigned rdma_links; /* that are there */

static void abort_nothing(struct link *link)
{
	(void)link;
}

static struct transport_ops fake_rdma;

bool __wrap_rdma_available(struct error *why)
{
	error_set(why, "no device");
	return script.rdma;
}

int __wrap_rdma_channel_create(const struct channel_config *config,
			       struct channel **channel, struct error *why)
{
	(void)config;
	(void)why;
	fake_rdma = transport_rdma;
	fake_rdma.link_abort = abort_nothing;
	*channel = calloc(1, sizeof(struct rdma_channel));
	return 0;
}

void __wrap_rdma_channel_destroy(struct channel *channel)
{
	free(channel);
}

int __wrap_rdma_link_connect(struct channel *channel,
			     const struct link_target *target,
			     uint64_t deadline_ns, struct link **out,
			     struct error *why)
{
	(void)target;
	(void)deadline_ns;
	if (script.rdma_fails) {
		script.rdma_fails--;
		if (script.rdma_loses)
			session_drop(server);
		error_set(why, "no answer to the RDMA connection");
		return -ETIMEDOUT;
	}
	*out = calloc(1, sizeof **out);
	**out = (struct link){ &fake_rdma, channel };
	rdma_links++;
	return 0;
}

void __wrap_rdma_link_close(struct link *link)
{
	rdma_links--;
	free(link);
}

void __wrap_rdma_link_describe(const struct link *link, struct link_path *path)
{
	(void)link;
	snprintf(path->device, sizeof path->device, "fake0");
}

/* --- each test has a session that is open --- */

static int setup_by(const struct transport_ops *transport)
{
	struct engine_config config = { .servers = names,
					.n_servers = 2,
					.size_bytes = 4 * SLAB_BYTES,
					.transport = transport,
					.lanes = 1,
					.redundancy.copies = 1,
					.timeout_ns = NS_PER_S };
	struct error why;

	quiet_log();
	memset(&script, 0, sizeof script);
	script.rdma = transport != &transport_tcp;
	server_start();
	assert_int_equal(
		engine_create(&engine, &config, SLAB_BYTES, NULL, &why), 0);
	server = &engine.servers[0];
	if (session_open(server, &why))
		fail_msg("%s", why.text);
	server_set_state(server, SERVER_UP);
	assert_string_equal(server->locked.zone, "rack-7");
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return setup_by(&transport_tcp);
}

static int setup_auto(void **state)
{
	(void)state;
	return setup_by(NULL);
}

static int setup_rdma(void **state)
{
	(void)state;
	return setup_by(&transport_rdma);
}

static int teardown(void **state)
{
	(void)state;
	atomic_store(&machine.stop, true);
	thread_end(machine.thread);
	assert_false(machine.wrong_resume);
	assert_false(machine.wrong_alloc);
	while (machine.n > 0)
		forget(machine.n - 1);
	session_close_links(server);
	session_close(server);
	lane_pool_close(&engine.lanes, 0);
	engine_destroy(&engine);
	return 0;
}

static int call(uint16_t type, uint16_t reply_type, struct wire_message *reply)
{
	struct wire_message request = { .type = type, .alloc.label = 0 };
	struct error why = { "" };

	if (type == WIRE_ALLOC)
		request.alloc.label = 42;
	return session_call(server, &request, reply_type, reply, &why);
}

static void assert_healed(unsigned resumes)
{
	assert_int_equal(server_state(server), SERVER_UP);
	assert_int_equal(atomic_load(&server->shared.recoveries), resumes);
	assert_int_equal(received(WIRE_RESUME), resumes);
	assert_int_equal(received(WIRE_OPEN), 1);
	assert_true(server->locked.control.fd >= 0);
	assert_int_equal(server->session.lost_ns, 0);
}

static void release_comes_before_an_answer(void **state)
{
	struct wire_message reply;

	(void)state;
	script.release = true;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), 0);
	assert_int_equal(reply.type, WIRE_PONG);
	assert_int_equal(atomic_load(&server->shared.release_slabs), 7);
	assert_healed(0);
}

static void releases_without_end_are_no_answer(void **state)
{
	struct wire_message reply;

	(void)state;
	server->shared.grace_ms = 60000;
	atomic_store(&server->shared.slabs, 1);
	script.flood = true;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), 0);
	assert_false(script.flood);
	assert_healed(1);
}

static void an_alloc_is_asked_again_by_its_label(void **state)
{
	struct wire_message reply;

	(void)state;
	script.lose = WIRE_ALLOC;
	assert_int_equal(call(WIRE_ALLOC, WIRE_SLAB, &reply), 0);
	assert_int_equal(reply.slab.label, 42);
	assert_int_equal(reply.slab.slab, 3);
	assert_int_equal(received(WIRE_ALLOC), 2);
	assert_int_equal(atomic_load(&machine.label), 42);
	assert_healed(1);
}

static void a_slab_that_is_gone_was_freed(void **state)
{
	struct wire_message reply;

	(void)state;
	script.lose = WIRE_FREE;
	script.no_slab = true;
	assert_int_equal(call(WIRE_FREE, WIRE_FREED, &reply), 0);
	assert_int_equal(reply.type, WIRE_FREED);
	assert_int_equal(received(WIRE_FREE), 2);
	assert_healed(1);
	/* but not where no answer was lost */
	assert_int_equal(call(WIRE_FREE, WIRE_FREED, &reply), -EREMOTEIO);
	assert_int_equal(reply.error.code, WIRE_E_NO_SLAB);
	assert_healed(1);
}

static void a_server_that_hangs_is_asked_again(void **state)
{
	struct wire_message reply;

	(void)state;
	server->shared.grace_ms = 60000;
	atomic_store(&server->shared.slabs, 1);
	script.swallow = WIRE_PING;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), 0);
	assert_healed(1);
	/* and while the session is being resumed */
	script.lose = WIRE_PING;
	script.swallow = WIRE_RESUME;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), 0);
	assert_int_equal(received(WIRE_RESUME), 3);
	assert_int_equal(atomic_load(&server->shared.recoveries), 2);
	/* and while its links are rebuilt */
	script.lose = WIRE_PING;
	script.swallow = WIRE_LANE;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), 0);
	assert_int_equal(received(WIRE_RESUME), 5);
	assert_int_equal(atomic_load(&server->shared.recoveries), 3);
	assert_int_equal(server_state(server), SERVER_UP);
}

static void an_answer_that_was_changed_costs_only_the_connection(void **state)
{
	static const uint16_t types[][2] = { { WIRE_PING, WIRE_PONG },
					     { WIRE_ALLOC, WIRE_SLAB },
					     { WIRE_FREE, WIRE_FREED } };
	struct wire_message reply;

	(void)state;
	for (unsigned i = 0; i < COUNT(types); i++) {
		script.garble = types[i][0];
		script.garbles = 1;
		assert_int_equal(call(types[i][0], types[i][1], &reply), 0);
		assert_healed(i + 1);
	}
}

static void a_ping_that_was_changed_costs_only_the_connection(void **state)
{
	struct wire_message reply;

	(void)state;
	script.no_ping = true;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), 0);
	assert_healed(1);
}

static void who_answers_nonsense_again_is_lost(void **state)
{
	struct wire_message reply;

	(void)state;
	script.garble = WIRE_FREE;
	script.garbles = 2;
	assert_int_equal(call(WIRE_FREE, WIRE_FREED, &reply), -EPROTO);
}

static void a_forgotten_session_is_lost(void **state)
{
	struct wire_message reply;

	(void)state;
	script.lose = WIRE_PING;
	script.no_session = true;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), -ESTALE);
	assert_int_equal(received(WIRE_RESUME), 1);
	assert_int_equal(server_state(server), SERVER_RECOVERING);
}

static void another_incarnation_is_not_asked(void **state)
{
	struct wire_message reply;

	(void)state;
	script.lose = WIRE_PING;
	script.restarts = true;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), -ESTALE);
	assert_int_equal(received(WIRE_RESUME), 0);
	assert_int_equal(received(WIRE_HELLO), 2);
}

/* It holds no slab: so no longer than a request. */
static void one_that_is_gone_is_lost_in_the_end(void **state)
{
	struct wire_message reply;

	(void)state;
	script.lose = WIRE_PING;
	script.gone = true;
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), -ETIMEDOUT);
	assert_int_equal(server->locked.control.fd, -1);
	assert_int_equal(server_state(server), SERVER_RECOVERING);
}

static void *ask_to_stop(void *arg)
{
	(void)arg;
	while (server_state(server) != SERVER_RECOVERING)
		sleep_ms(1);
	session_ask_to_stop(server);
	return NULL;
}

/* A slab there is worth the whole grace time: but not to one that ends. */
static void stops_while_it_waits(void **state)
{
	struct wire_message reply;
	pthread_t thread;

	(void)state;
	server->shared.grace_ms = 3600000;
	atomic_store(&server->shared.slabs, 1);
	script.lose = WIRE_PING;
	script.gone = true;
	thread = thread_start(ask_to_stop, NULL);
	assert_int_equal(call(WIRE_PING, WIRE_PONG, &reply), -ECANCELED);
	thread_end(thread);
}

/* A lane that failed, with the control connection in order: FENCE is enough. */
static void a_broken_lane_needs_no_resume(void **state)
{
	struct error why = { "a lane failed" };

	(void)state;
	server_break(server, why.text);
	assert_int_equal(session_heal(server, &why), 0);
	assert_int_equal(received(WIRE_FENCE), 1);
	assert_int_equal(received(WIRE_RESUME), 0);
	assert_int_equal(server_state(server), SERVER_UP);
	/* where the connection ends at that, it is resumed */
	server_break(server, why.text);
	script.lose = WIRE_FENCE;
	assert_int_equal(session_heal(server, &why), 0);
	assert_int_equal(received(WIRE_FENCE), 2);
	assert_int_equal(received(WIRE_RESUME), 1);
	assert_int_equal(atomic_load(&server->shared.recoveries), 2);
}

/* A shard for which the server is to be asked. */
static struct slab_shard *ask_shard(uint32_t slab)
{
	struct slab_shard *shard = &engine.slabs.slabs[slab].shards[0];

	atomic_store(&shard->for_repair, true); /* no request waits for it */
	atomic_store(&shard->state, SHARD_ASKED);
	assert_true(server_ask_shard(server, shard));
	return shard;
}

/* Where a slab can go elsewhere, who asks for it does not wait for a server
 * that does not answer: nor behind another slab that is to be freed first. */
static void no_slab_is_waited_for_behind_one_given_back(void **state)
{
	struct slab_shard *first, *second;
	struct error why = { "" };

	(void)state;
	server_set_state(&engine.servers[1], SERVER_UP);
	first = ask_shard(0);
	second = ask_shard(1);
	script.give_back = true;
	script.swallow = WIRE_FREE;
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(first), SHARD_SPARE);
	assert_int_equal(shard_state(second), SHARD_NONE);
	/* and what was given back is not forgotten: it was asked once in vain,
	 * then came the one that the second ALLOC may have got */
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(received(WIRE_FREE), 3);
}

/* Thousands may be given back at a time, while a write waits for a slab. */
static void a_slab_is_not_waited_for_behind_others_to_be_freed(void **state)
{
	struct slab_shard *shard;
	struct error why = { "" };

	(void)state;
	for (uint32_t slab = 10; slab < 13; slab++)
		server_give_back(server, slab, slab);
	shard = ask_shard(1);
	script.lose = WIRE_ALLOC; /* tells how many were freed before */
	server_set_state(&engine.servers[1], SERVER_UP);
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(shard), SHARD_NONE);
	assert_int_equal(machine.frees_before_alloc, 0);
	assert_int_equal(received(WIRE_FREE), 4); /* and the orphan */
}

/* A write that failed may still be under way to a slab that nobody uses any
 * more.  Were that freed before the fence, the write would reach whatever the
 * server keeps there next. */
static void nothing_is_freed_before_the_fence(void **state)
{
	struct error why = { "" };

	(void)state;
	server_give_back(server, 10, 0);
	server_give_back(server, 11, 1);
	script.breaks = true;
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(received(WIRE_FENCE), 1);
	assert_int_equal(received(WIRE_FREE), 3);
	assert_int_equal(machine.unfenced_frees, 0);
	assert_int_equal(server_state(server), SERVER_UP);
}

static void a_slab_whose_answer_was_changed_is_sought_elsewhere(void **state)
{
	struct slab_shard *shard;
	struct error why = { "" };

	(void)state;
	server_set_state(&engine.servers[1], SERVER_UP);
	shard = ask_shard(1);
	script.garble = WIRE_ALLOC;
	script.garbles = 1;
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(shard), SHARD_NONE);
	assert_healed(1);
}

/* Nor for a slab of the same label; who asks for that goes on elsewhere. */
static void a_slab_asked_for_waits_for_no_fence(void **state)
{
	struct slab_shard *shard;
	struct error why = { "" };

	(void)state;
	server_set_state(&engine.servers[1], SERVER_UP);
	server_give_back(server, 11, 1);
	shard = ask_shard(1);
	server_break(server, "a transfer failed");
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(shard), SHARD_NONE);
	assert_int_equal(received(WIRE_FENCE), 1);
	assert_int_equal(machine.unfenced_frees, 0);
}

/* The one of the same label goes first, as the server knows it by that; and
 * what was freed without an answer before anything else is asked. */
static void a_free_whose_answer_is_lost_is_asked_again_first(void **state)
{
	struct slab_shard *first, *second;
	struct error why = { "" };

	(void)state;
	server_set_state(&engine.servers[1], SERVER_UP);
	atomic_store(&server->shared.slabs, 2);
	server_give_back(server, 10, 10);
	server_give_back(server, 11, 0);
	first = ask_shard(0);
	second = ask_shard(1);
	script.lose = WIRE_FREE;
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(first), SHARD_NONE); /* not waited for */
	assert_true(machine.frees_before_alloc > 0);
	assert_int_equal(shard_state(second), SHARD_NONE);
	assert_int_equal(server->locked.n_given_back, 0);
	assert_false(server->session.has_unsure_free);
}

static void *bring_up_the_other_one(void *arg)
{
	wait_until_asleep();
	atomic_store(&engine.servers[1].shared.free_bytes,
		     *(const uint64_t *)arg);
	server_set_state(&engine.servers[1], SERVER_UP);
	return NULL;
}

/* This one goes for good; nobody else was there when it began to heal. */
static void heal_while_another_comes_back(uint64_t free_bytes)
{
	pthread_t thread;

	server_set_state(&engine.servers[1], SERVER_RECOVERING);
	script.gone = true;
	script.lose = WIRE_PING;
	thread = thread_start(bring_up_the_other_one, &free_bytes);
	assert_true(call(WIRE_PING, WIRE_PONG, &(struct wire_message){ 0 }));
	thread_end(thread);
}

static void a_slab_goes_elsewhere_once_another_server_is_back(void **state)
{
	struct slab_shard *shard = ask_shard(0);

	(void)state;
	heal_while_another_comes_back(SLAB_BYTES);
	assert_int_equal(shard_state(shard), SHARD_NONE);
}

/* Refused, the write would be told that there is no space. */
static void a_slab_goes_nowhere_where_the_other_server_is_full(void **state)
{
	struct slab_shard *shard = ask_shard(0);

	(void)state;
	heal_while_another_comes_back(0);
	assert_int_equal(shard_state(shard), SHARD_ASKED);
}

/* There may be somebody else before this one answers. */
static void a_slab_waits_for_no_answer_though_nobody_else_is_there(void **state)
{
	struct slab_shard *shard = ask_shard(0);
	struct error why = { "" };

	(void)state;
	script.swallow = WIRE_ALLOC;
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(shard), SHARD_NONE);
	/* the one that it may have got is freed */
	assert_int_equal(received(WIRE_ALLOC), 2);
	assert_int_equal(received(WIRE_FREE), 1);
}

static void *give_back_slowly(void *arg)
{
	struct slab_shard *shard = arg;

	wait_until_asleep();
	server_give_back(server, 9, 0);
	atomic_store(&shard->state, SHARD_NONE);
	return NULL;
}

/* The next session may have a slab of the same number, and must not free it. */
static void what_is_given_back_is_forgotten_with_its_session(void **state)
{
	struct slab_shard *shard = &engine.slabs.slabs[0].shards[0];
	pthread_t thread;

	(void)state;
	shard->server = server->index;
	atomic_store(&shard->state, SHARD_LEAVING);
	thread = thread_start(give_back_slowly, shard);
	session_lose_slabs(server);
	thread_end(thread);
	assert_int_equal(server->locked.n_given_back, 0);
}

/* Writes fail until it is known that there is room again. */
static void a_full_server_is_asked_more_often(void **state)
{
	uint64_t every_ns = session_ping_every_ns(server);
	struct slab_shard *shard = ask_shard(0);
	struct error why = { "" };

	(void)state;
	script.full = true;
	assert_int_equal(session_alloc_slabs(server, &why), 0);
	assert_int_equal(shard_state(shard), SHARD_NONE);
	assert_true(session_ping_every_ns(server) < every_ns);
}

/* --- a name service that does not answer --- */

static atomic_bool resolver_hangs, resolver_asked;

int __real_getaddrinfo(const char *host, const char *port,
		       const struct addrinfo *hints, struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *port,
		       const struct addrinfo *hints, struct addrinfo **found);

int __wrap_getaddrinfo(const char *host, const char *port,
		       const struct addrinfo *hints, struct addrinfo **found)
{
	atomic_store(&resolver_asked, true);
	while (atomic_load(&resolver_hangs))
		sleep_ms(1);
	return __real_getaddrinfo(host, port, hints, found);
}

static void the_end_does_not_wait_for_a_name_service(void **state)
{
	struct error why;

	(void)state;
	atomic_store(&resolver_hangs, true);
	atomic_store(&resolver_asked, false);
	assert_int_equal(session_start(&engine.servers[1], &why), 0);
	while (!atomic_load(&resolver_asked))
		sleep_ms(1);
	assert_false(engine_stop(&engine));
	atomic_store(&resolver_hangs, false);
	assert_true(engine_stop(&engine));
}

/* --- a way round --- */

static void break_and_heal(void)
{
	struct error why = { "a lane failed" };

	server_break(server, why.text);
	assert_int_equal(session_heal(server, &why), 0);
	assert_int_equal(server_state(server), SERVER_UP);
}

static const char *way(void)
{
	return atomic_load(&server->shared.transport)->name;
}

static const struct transport_ops *used;

static void note_use(const struct transport_ops *transport)
{
	used = transport;
}

static void pages_go_by_tcp_while_rdma_does_not_connect(void **state)
{
	struct error why = { "" };

	(void)state;
	engine.config.uses = note_use;
	assert_string_equal(way(), "rdma");
	assert_int_equal(rdma_links, engine.lanes.n);
	/* enough tokens for a pair of connections */
	assert_int_equal(machine.open.transport, WIRE_TRANSPORT_RDMA);
	assert_true(machine.open.lanes >= 2);
	script.rdma_fails = 1;
	break_and_heal();
	assert_string_equal(way(), "tcp");
	assert_ptr_equal(used, &transport_tcp);
	assert_int_equal(rdma_links, 0);
	assert_int_equal(received(WIRE_FENCE), 2);
	/* it stays so for a while, and not for ever */
	assert_false(session_detour_ends(server, &why));
	server->session.return_ns = 1;
	assert_true(session_detour_ends(server, &why));
	assert_string_equal(why.text, "its pages go over tcp, and are to go "
				      "over rdma again");
	break_and_heal();
	assert_string_equal(way(), "rdma");
	assert_ptr_equal(used, &transport_rdma);
	assert_int_equal(rdma_links, engine.lanes.n);
	assert_false(session_detour_ends(server, &why));
	assert_int_equal(received(WIRE_OPEN), 1);
}

/* Then nothing is known of RDMA. */
static void no_way_round_where_the_server_is_away(void **state)
{
	(void)state;
	atomic_store(&server->shared.slabs, 1);
	server->shared.grace_ms = 60000;
	script.rdma_fails = 1;
	script.rdma_loses = true;
	break_and_heal();
	assert_string_equal(way(), "rdma");
	assert_int_equal(received(WIRE_RESUME), 1);
}

static void no_way_round_where_rdma_was_asked_for(void **state)
{
	(void)state;
	script.rdma_fails = 3;
	break_and_heal();
	assert_string_equal(way(), "rdma");
	assert_int_equal(script.rdma_fails, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			pages_go_by_tcp_while_rdma_does_not_connect, setup_auto,
			teardown),
		cmocka_unit_test_setup_teardown(
			no_way_round_where_the_server_is_away, setup_auto,
			teardown),
		cmocka_unit_test_setup_teardown(
			no_way_round_where_rdma_was_asked_for, setup_rdma,
			teardown),
		TEST(release_comes_before_an_answer),
		TEST(releases_without_end_are_no_answer),
		TEST(an_alloc_is_asked_again_by_its_label),
		TEST(a_slab_that_is_gone_was_freed),
		TEST(a_server_that_hangs_is_asked_again),
		TEST(an_answer_that_was_changed_costs_only_the_connection),
		TEST(a_ping_that_was_changed_costs_only_the_connection),
		TEST(who_answers_nonsense_again_is_lost),
		TEST(a_slab_whose_answer_was_changed_is_sought_elsewhere),
		TEST(a_forgotten_session_is_lost),
		TEST(another_incarnation_is_not_asked),
		TEST(one_that_is_gone_is_lost_in_the_end),
		TEST(stops_while_it_waits),
		TEST(a_broken_lane_needs_no_resume),
		TEST(no_slab_is_waited_for_behind_one_given_back),
		TEST(a_slab_is_not_waited_for_behind_others_to_be_freed),
		TEST(nothing_is_freed_before_the_fence),
		TEST(a_slab_asked_for_waits_for_no_fence),
		TEST(a_free_whose_answer_is_lost_is_asked_again_first),
		TEST(a_slab_goes_elsewhere_once_another_server_is_back),
		TEST(a_slab_goes_nowhere_where_the_other_server_is_full),
		TEST(a_slab_waits_for_no_answer_though_nobody_else_is_there),
		TEST(what_is_given_back_is_forgotten_with_its_session),
		TEST(a_full_server_is_asked_more_often),
		TEST(the_end_does_not_wait_for_a_name_service),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
