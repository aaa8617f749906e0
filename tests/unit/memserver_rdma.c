/* The memory server's RDMA lanes and registered slabs, over mocked verbs: what
 * a client is told when a call fails, and that nothing is left of it. */
#include "fake_client.h"
#include "grants/grant.h"
#include "links/rdma.h"
#include "mock_verbs.h"
#include "private_data.h"
#include "server/server.h"
#include "session/session.h"
#include "support.h"

#include <errno.h>
#include <netinet/in.h>

#define SLAB  (1ull << 20)
#define SLABS 4

/* --- a server --- */

static struct config config;
static struct server server;
static struct session *session;
static ev_timer patience;

static void lose_patience(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)watcher;
	(void)events;
	ev_break(loop, EVBREAK_ONE);
}

/* Runs the main loop until *COUNTER is VALUE, but not for ever. */
static void await(const unsigned *counter, unsigned value)
{
	uint64_t deadline_ns = after_ms(LONG_MS);

	ev_timer_init(&patience, lose_patience, LONG_MS / 1000., 0.);
	ev_timer_start(server.loop, &patience);
	while (*counter != value && clock_left_ns(deadline_ns))
		ev_run(server.loop, EVRUN_ONCE);
	ev_timer_stop(server.loop, &patience);
	assert_int_equal(*counter, value);
}

static int open_listener(struct error *why)
{
	struct net_addr addr = { .length = sizeof(struct sockaddr_in) };
	struct link_offer offer = { .transports = 0 };
	int rc;

	addr.storage.ss_family = AF_INET;
	rc = rdma_link_ops.open(&server.links, why);
	if (rc)
		return rc;
	rc = rdma_link_ops.listen(&server.links, &addr, &offer, why);
	if (!rc)
		assert_int_equal(offer.rdma_port, MOCK_PORT);
	return rc;
}

static uint64_t labels;

static void open_session(void)
{
	const struct wire_open open = { .size_bytes = SLABS * SLAB,
					.lanes = 4,
					.transport = WIRE_TRANSPORT_RDMA };
	const struct peer_name peer = { "peer" };
	struct error why;
	uint32_t code = 0;

	session = session_open(&server.sessions, some_client(), "test", &peer,
			       &open, &code, &why);
	assert_non_null(session);
}

static int start(void **state)
{
	const struct slab_pool_config pool = { .memory_bytes = SLABS * SLAB,
					       .slab_bytes = SLAB };
	struct error why;

	(void)state;
	mock_reset();
	quiet_log();
	config = (struct config){ .max_sessions = 3 };
	memset(&server, 0, sizeof server);
	server.config = &config;
	server.loop = ev_loop_new(EVFLAG_AUTO);
	mailbox_open(&server.box, server.loop);
	replies = 0;
	if (slab_pool_open(&server.pool, &pool, &server.preparer, &why))
		return -1;
	server_connect_parts(&server);
	if (workq_start(&server.preparer, "preparer", &server.box, &why) ||
	    workq_start(&server.teardown, "teardown", &server.box, &why) ||
	    open_listener(&why))
		return -1;
	open_session();
	return 0;
}

static void end_session(void)
{
	session_end(session, "test");
	await(&server.sessions.count, 0);
}

/* Everything ends well, whatever the test did. */
static int stop(void **state)
{
	(void)state;
	end_session();
	workq_stop(&server.teardown);
	workq_stop(&server.preparer);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
	rdma_link_ops.close(&server.links);
	slab_pool_close(&server.pool);
	mailbox_close(&server.box);
	ev_loop_destroy(server.loop);
	assert_nothing_left();
	return 0;
}

/* --- a client --- */

static void request_lane(void)
{
	struct wire_message m = { .type = WIRE_JOIN, .cookie = 7 };
	char join[WIRE_MESSAGE_MAX];
	struct wire_token token;

	assert_int_equal(link_set_token(&session->links, &token), 0);
	m.join = (struct wire_join){ .session = token.session,
				     .lane = token.lane };
	memcpy(m.join.token, token.token, sizeof m.join.token);
	mock_request(join, (uint8_t)wire_encode(&m, join));
}

static void join_lane(void)
{
	unsigned before = mock.accepts;

	request_lane();
	await(&mock.accepts, before + 1);
}

static unsigned slots_taken(void)
{
	unsigned n = 0;

	for (int i = 0; i < LINK_SET_MAX; i++)
		n += session->links.slots[i].state != SLOT_FREE;
	return n;
}

/* The request that is on its way is refused with an ERROR of CODE that contains
 * TOLD, and there are LANES as before. */
static void assert_rejection(uint32_t code, const char *told)
{
	unsigned before = mock.rejects, lanes = session->links.count;
	struct wire_message m;

	await(&mock.rejects, before + 1);
	assert_int_equal(private_data_decode(mock.refusal, mock.refusal_bytes,
					     WIRE_ERROR, &m),
			 WIRE_OK);
	assert_int_equal(m.error.code, code);
	assert_contains(m.error.text, told);
	assert_int_equal(session->links.count, lanes);
	assert_int_equal(slots_taken(), lanes);
	assert_int_equal(mock.ids, 1 + lanes); /* 1: the listener */
	assert_int_equal(mock.qps, lanes);
}

/* The same of the next lane. */
static void assert_refused(uint32_t code, const char *told)
{
	request_lane();
	assert_rejection(code, told);
}

static void ask_for_slab(void)
{
	unsigned before = replies;

	grant_slab(&session->owner, 3, labels++);
	await(&replies, before + 1);
	assert_int_equal(last_reply.cookie, 3);
}

static void assert_slab(void)
{
	uint32_t last;

	ask_for_slab();
	assert_int_equal(last_reply.type, WIRE_SLAB);
	/* The spare behind it may be registered by now. */
	last = mock_last_rkey();
	assert_in_range(last_reply.slab.rkey, last - 1, last);
}

static void assert_no_slab(uint32_t code)
{
	ask_for_slab();
	assert_int_equal(last_reply.type, WIRE_ERROR);
	assert_int_equal(last_reply.error.code, code);
	assert_int_not_equal(last_reply.error.text[0], '\0');
}

static void fail_call(const char *call, int error)
{
	mock.fail = call;
	mock.fail_errno = error;
}

/* --- good --- */

static void lanes_share_a_domain_and_slabs_are_registered(void **state)
{
	(void)state;
	assert_true(mock.env_set);
	join_lane();
	join_lane();
	assert_int_equal(mock.pds, 1);
	assert_int_equal(mock.cqs, 1);
	assert_int_equal(mock.qps, 2);
	assert_int_equal(mock.param.responder_resources, MOCK_READS);
	assert_slab();
	assert_int_equal(mock.last_mr.access, IBV_ACCESS_LOCAL_WRITE |
						      IBV_ACCESS_REMOTE_READ |
						      IBV_ACCESS_REMOTE_WRITE);
	mock_hang_up();
	await(&session->links.count, 1);
}

/* Clients address a slab from 0 on, and reach nothing beyond its end. */
static void a_slab_is_all_that_its_rkey_reaches(void **state)
{
	(void)state;
	join_lane();
	assert_slab();
	assert_int_equal(mock.last_mr.iova, 0);
	assert_int_equal(mock.last_mr.length, SLAB);
}

static void each_session_has_a_domain_of_its_own(void **state)
{
	struct session *first = session;
	const struct ibv_pd *lanes[2], *slabs[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		if (i)
			open_session();
		join_lane();
		ask_for_slab();
		lanes[i] = mock.accepted->qp->pd;
		slabs[i] = mock.last_mr.pd;
	}
	session_end(session, "test");
	session = first;
	await(&server.sessions.count, 1);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_int_equal(mock.registered, 2);
	assert_ptr_equal(lanes[0], slabs[0]);
	assert_ptr_equal(lanes[1], slabs[1]);
	assert_ptr_not_equal(lanes[0], lanes[1]);
}

/* An rkey from before a FREE names nothing any more. */
static void a_slab_that_is_granted_again_has_another_rkey(void **state)
{
	bool seen[SLABS + 1] = { false };

	(void)state;
	join_lane();
	for (int i = 0; i <= SLABS; i++) {
		uint32_t rkey;

		assert_slab();
		rkey = last_reply.slab.rkey - MOCK_RKEY;
		assert_in_range(rkey, 0, SLABS);
		assert_false(seen[rkey]);
		seen[rkey] = true;
		assert_int_equal(
			session_free_slab(session, last_reply.slab.slab), 0);
	}
}

static void a_lane_on_another_device_is_refused(void **state)
{
	(void)state;
	join_lane();
	mock.device = 1;
	assert_refused(WIRE_E_INTERNAL, "came in on device mock1");
	mock.device = 0;
	join_lane();
}

static void a_lane_on_iwarp_is_refused(void **state)
{
	(void)state;
	mock_is_iwarp(0);
	assert_refused(WIRE_E_INTERNAL, "neither InfiniBand nor RoCE");
	mock.device = 1;
	join_lane();
}

/* --- private data that is no JOIN --- */

static void bad_private_data_is_refused(void **state)
{
	struct wire_message m = { .type = WIRE_JOIN, .cookie = 7 };
	char bytes[WIRE_MESSAGE_MAX];
	uint8_t n;

	(void)state;
	mock_request("", 0);
	assert_rejection(WIRE_E_PROTOCOL, "a length");
	mock_request("GET / HTTP/1.1\r\n", 16);
	assert_rejection(WIRE_E_PROTOCOL, "not the rswap protocol");
	n = (uint8_t)wire_encode(&m, bytes);
	mock_request(bytes, n - 1);
	assert_rejection(WIRE_E_PROTOCOL, "a length");
	mock_request(bytes, n);
	assert_rejection(WIRE_E_TOKEN, "token");
	bytes[4]++;
	mock_request(bytes, n);
	assert_rejection(WIRE_E_VERSION, "version");
	m.type = WIRE_FREE;
	mock_request(bytes, (uint8_t)wire_encode(&m, bytes));
	assert_rejection(WIRE_E_PROTOCOL, "out of place");
	join_lane();
}

/* --- calls that fail when a lane joins --- */

/* As its session's first lane, and as a later one where the call is made for
 * that as well; then lanes and slabs are had as ever. */
static void assert_join_fails(const char *call, int error, bool later)
{
	for (int i = 0; i <= later; i++) {
		fail_call(call, error);
		assert_refused(WIRE_E_INTERNAL, call);
		assert_refused(WIRE_E_INTERNAL, strerror(error));
		mock.fail = NULL;
		join_lane();
	}
	assert_int_equal(server.links.errors, later ? 4 : 2);
	assert_slab();
}

#define FAILING_JOIN(call, error, later)                                       \
	static void call##__##error(void **state)                              \
	{                                                                      \
		(void)state;                                                   \
		assert_join_fails(#call, error, later);                        \
	}

FAILING_JOIN(ibv_query_device, EPERM, false)
FAILING_JOIN(ibv_alloc_pd, ENOMEM, false)
FAILING_JOIN(ibv_create_cq, ENOSPC, false)
FAILING_JOIN(rdma_create_qp, ENOMEM, true)
FAILING_JOIN(rdma_accept, EINVAL, true)

/* --- calls that fail and do not say why --- */

/* libibverbs promises a NULL, but no errno with it. */
static void a_join_may_fail_without_an_errno(void **state)
{
	(void)state;
	fail_call("ibv_alloc_pd", 0);
	assert_refused(WIRE_E_INTERNAL, "ibv_alloc_pd");
	fail_call("ibv_create_cq", 0);
	assert_refused(WIRE_E_INTERNAL, "ibv_create_cq");
	mock.fail = NULL;
	join_lane();
}

static void registering_may_fail_without_an_errno(void **state)
{
	(void)state;
	join_lane();
	fail_call("ibv_reg_mr_iova", 0);
	assert_no_slab(WIRE_E_INTERNAL);
	mock.fail = NULL;
	assert_slab();
}

/* --- calls that fail for a slab --- */

static void ibv_reg_mr_iova__EPERM(void **state)
{
	(void)state;
	join_lane();
	fail_call("ibv_reg_mr_iova", EPERM);
	assert_no_slab(WIRE_E_INTERNAL);
	assert_no_slab(WIRE_E_INTERNAL);
	assert_int_equal(session->owner.granted, 0);
	mock.fail = NULL;
	/* None has gone: all can be had. */
	for (int i = 0; i < SLABS; i++)
		assert_slab();
	assert_int_equal(mock.mrs, SLABS);
}

static void ibv_reg_mr_iova__ENOMEM(void **state)
{
	(void)state;
	join_lane();
	fail_call("ibv_reg_mr_iova", ENOMEM);
	assert_no_slab(WIRE_E_NO_MEMORY);
	/* seldom memory, mostly the limit */
	assert_contains(last_reply.error.text, "limit of locked memory");
	mock.fail = NULL;
	assert_slab();
}

/* Nobody waits for a spare, so nobody is told. */
static void ibv_reg_mr_iova__ENOMEM_for_a_spare(void **state)
{
	(void)state;
	server.grants.keep_spares = 1;
	fail_call("ibv_reg_mr_iova", ENOMEM);
	join_lane();
	assert_true(session->owner.spare_coming);
	await(&session->owner.granted, 0);
	assert_null(session->owner.spare);
	assert_false(session->owner.spare_coming);
	assert_int_equal(replies, 0);
	mock.fail = NULL;
	/* The next one comes behind a slab that is asked for. */
	assert_slab();
	await(&session->owner.granted, 0);
	assert_non_null(session->owner.spare);
	for (int i = 1; i < SLABS; i++)
		assert_slab();
}

static void get_spare(void)
{
	server.grants.keep_spares = 1;
	grant_spare(&session->owner);
	await(&session->owner.granted, 0);
	assert_non_null(session->owner.spare);
	assert_true(ev_is_active(&session->owner.spare_limit));
}

/* It is not kept for a session that does not come for it, or cannot. */
static void a_spare_has_an_end(void **state)
{
	(void)state;
	join_lane();
	get_spare();
	ev_feed_event(server.loop, &session->owner.spare_limit, EV_TIMER);
	ev_run(server.loop, EVRUN_NOWAIT);
	assert_null(session->owner.spare);
	assert_false(ev_is_active(&session->owner.spare_limit));
	assert_false(session->owner.spare_coming);
	/* the next one comes with the next slab */
	get_spare();
	assert_slab();
	await(&session->owner.granted, 0);
	assert_non_null(session->owner.spare);
	server.sessions.grace_s = 60;
	session_lost(session, "test");
	assert_null(session->owner.spare);
	grant_spare(&session->owner);
	assert_false(session->owner.spare_coming);
}

static void a_session_may_end_while_registering_fails(void **state)
{
	(void)state;
	join_lane();
	fail_call("ibv_reg_mr_iova", EPERM);
	grant_slab(&session->owner, 3, labels++);
	end_session();
	assert_int_equal(replies, 0);
	mock.fail = NULL;
	open_session();
}

/* Somebody could still reach it: it is nobody's from then on. */
static void ibv_dereg_mr__EBUSY(void **state)
{
	struct slab *slab;

	(void)state;
	join_lane();
	assert_slab();
	slab = &server.pool.slabs[last_reply.slab.slab];
	fail_call("ibv_dereg_mr", EBUSY);
	assert_int_equal(session_free_slab(session, slab->number), 0);
	for (int i = 1; i < SLABS; i++) {
		assert_slab();
		assert_int_not_equal(last_reply.slab.slab, slab->number);
	}
	assert_no_slab(WIRE_E_NO_MEMORY);
	assert_int_equal(slab_pool_figures(&server.pool).used, SLABS);
	mock.fail = NULL;
	/* What the server never does. */
	slab_put_back(slab);
	server.pool.owned--;
}

/* --- a queue pair that is not gone --- */

static void await_destroys(unsigned n)
{
	while (atomic_load(&mock.qp_destroys) < n)
		ev_run(server.loop, EVRUN_ONCE);
}

/* FENCED is a promise: a queue pair that still exists may take bytes. */
static void ibv_destroy_qp__EBUSY(void **state)
{
	(void)state;
	join_lane();
	fail_call("ibv_destroy_qp", EBUSY);
	assert_int_equal(session_fence(session, 9), 0);
	await_destroys(3);
	assert_int_equal(replies, 0);
	assert_int_equal(session->links.count, 1);
	assert_int_equal(mock.qps, 1);
	/* the third has ended before this is looked at */
	workq_stop(&server.teardown);
	mock.fail = NULL;
	assert_int_equal(workq_start(&server.teardown, "teardown", &server.box,
				     &(struct error){ "" }),
			 0);
	await(&replies, 1);
	assert_int_equal(last_reply.type, WIRE_FENCED);
	assert_int_equal(last_reply.fenced.lanes_closed, 1);
	assert_int_equal(mock.qps, 0);
	join_lane();
}

/* The same where the lane never came to be: its place is not given away. */
static void ibv_destroy_qp__EBUSY_of_a_refused_lane(void **state)
{
	(void)state;
	fail_call("rdma_accept", EBUSY);
	mock.fail_too = "ibv_destroy_qp";
	request_lane();
	await_destroys(3);
	assert_int_equal(mock.qps, 1);
	assert_int_equal(session->links.count, 1);
	assert_int_equal(session_fence(session, 9), 0);
	assert_int_equal(replies, 0);
	workq_stop(&server.teardown);
	mock.fail = mock.fail_too = NULL;
	assert_int_equal(workq_start(&server.teardown, "teardown", &server.box,
				     &(struct error){ "" }),
			 0);
	await(&replies, 1);
	assert_int_equal(last_reply.type, WIRE_FENCED);
	assert_int_equal(mock.qps, 0);
	assert_int_equal(mock.ids, 1);
}

/* --- turns --- */

/* A crowd that connects is not served at one go: others have their turn. */
static void many_events_are_not_one_turn(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		mock_request("nonsense", 8);
	ev_run(server.loop, EVRUN_NOWAIT);
	assert_in_range(mock.rejects, 1, 16);
	await(&mock.rejects, 100);
}

/* --- calls that fail when the server starts --- */

static void assert_listening_fails(const char *call, int error)
{
	struct rdma_events *good = server.links.rdma;
	struct error why = { "" };

	server.links.rdma = NULL;
	fail_call(call, error);
	assert_true(open_listener(&why) < 0);
	assert_contains(why.text, strerror(error));
	mock.fail = NULL;
	if (server.links.rdma)
		rdma_link_ops.close(&server.links);
	server.links.rdma = good;
}

#define FAILING_LISTENER(call, error)                                          \
	static void call##__##error(void **state)                              \
	{                                                                      \
		(void)state;                                                   \
		assert_listening_fails(#call, error);                          \
	}

FAILING_LISTENER(rdma_create_event_channel, ENODEV)
FAILING_LISTENER(rdma_create_id, ENOMEM)
FAILING_LISTENER(rdma_bind_addr, EADDRINUSE)
FAILING_LISTENER(rdma_listen, EADDRINUSE)

static void assert_not_listened_at(const char *told)
{
	struct rdma_events *good = server.links.rdma;
	struct error why = { "" };

	server.links.rdma = NULL;
	assert_int_equal(open_listener(&why), -ENODEV);
	assert_contains(why.text, told);
	rdma_link_ops.close(&server.links);
	server.links.rdma = good;
}

static void an_address_of_no_device_is_not_listened_at(void **state)
{
	(void)state;
	fail_call("rdma_bind_addr", ENODEV);
	assert_not_listened_at("it belongs to no RDMA device");
	mock.fail = NULL;
}

static void an_address_of_iwarp_is_not_listened_at(void **state)
{
	(void)state;
	mock_is_iwarp(0);
	assert_not_listened_at("mock0 is neither InfiniBand nor RoCE");
}

#define with_server(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_server(lanes_share_a_domain_and_slabs_are_registered),
		with_server(a_slab_is_all_that_its_rkey_reaches),
		with_server(each_session_has_a_domain_of_its_own),
		with_server(a_slab_that_is_granted_again_has_another_rkey),
		with_server(a_lane_on_another_device_is_refused),
		with_server(a_lane_on_iwarp_is_refused),
		with_server(bad_private_data_is_refused),
		with_server(ibv_query_device__EPERM),
		with_server(ibv_alloc_pd__ENOMEM),
		with_server(ibv_create_cq__ENOSPC),
		with_server(rdma_create_qp__ENOMEM),
		with_server(rdma_accept__EINVAL),
		with_server(a_join_may_fail_without_an_errno),
		with_server(registering_may_fail_without_an_errno),
		with_server(ibv_reg_mr_iova__EPERM),
		with_server(ibv_reg_mr_iova__ENOMEM),
		with_server(ibv_reg_mr_iova__ENOMEM_for_a_spare),
		with_server(a_spare_has_an_end),
		with_server(a_session_may_end_while_registering_fails),
		with_server(ibv_dereg_mr__EBUSY),
		with_server(ibv_destroy_qp__EBUSY),
		with_server(ibv_destroy_qp__EBUSY_of_a_refused_lane),
		with_server(many_events_are_not_one_turn),
		with_server(rdma_create_event_channel__ENODEV),
		with_server(rdma_create_id__ENOMEM),
		with_server(rdma_bind_addr__EADDRINUSE),
		with_server(rdma_listen__EADDRINUSE),
		with_server(an_address_of_no_device_is_not_listened_at),
		with_server(an_address_of_iwarp_is_not_listened_at),
	};

	return cmocka_run_group_tests_name("memory server over RDMA", tests,
					   NULL, NULL);
}
