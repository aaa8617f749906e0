/* Sessions with lanes and a control connection that only note what they are
 * told: tokens, fences, and the order in which a session ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clock.h"
#include "grants/grant.h"
#include "links/rdma.h"
#include "links/tcp.h"
#include "session_server.h"
#include "times.h"

/* --- the tests --- */

static void tokens_join_once(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_join join = join_of(session);
	struct wire_join other = join;

	(void)state;
	assert_string_equal(session->name, "n a_m");
	other.token[15] ^= 1;
	assert_null(admit(&other, &tcp_link_ops));
	other = join;
	other.lane++;
	assert_null(admit(&other, &tcp_link_ops));
	other.lane = LINK_SET_MAX;
	assert_null(admit(&other, &tcp_link_ops));
	other = join;
	other.session++;
	assert_null(admit(&other, &tcp_link_ops));
	assert_null(admit(&join, &rdma_link_ops));
	assert_ptr_equal(admit(&join, &tcp_link_ops), &session->links);
	assert_null(admit(&join, &tcp_link_ops));
	link_slot_free(&session->links, join.lane);
	session_end(session, "test");
	assert_int_equal(server.sessions.count, 0);
}

/* While a client cannot connect by RDMA, it reaches its slabs by TCP. */
static void each_session_takes_adopted_links(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_RDMA);
	struct wire_join join = join_of(session);

	(void)state;
	assert_ptr_equal(admit(&join, &tcp_link_ops), &session->links);
	link_slot_free(&session->links, join.lane);
	join = join_of(session);
	assert_null(admit(&join, NULL)); /* the server has no TCP */
	session_end(session, "test");
}

static void tokens_expire(void **state)
{
	uint64_t before_ns = clock_now_ns();
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_join join = join_of(session);
	struct link_slot *slot = &session->links.slots[join.lane];

	(void)state;
	assert_in_range(slot->until_ns, before_ns + TIMES_TOKEN_S * NS_PER_S,
			clock_now_ns() + TIMES_TOKEN_S * NS_PER_S);
	slot->until_ns = clock_now_ns();
	assert_null(admit(&join, &tcp_link_ops));
	assert_string_equal(admit_refusal.text,
			    "a lane's token has expired: it joins for 20 "
			    "seconds");
	/* another may guess at it no longer than at any other */
	join.token[0] ^= 1;
	assert_null(admit(&join, &tcp_link_ops));
	assert_string_equal(admit_refusal.text, "a lane's token joins nothing");
	/* nor does it keep a lane from the session */
	for (int i = 0; i < 4; i++)
		join = join_of(session);
	assert_ptr_equal(admit(&join, &tcp_link_ops), &session->links);
	link_slot_free(&session->links, join.lane);
	session_end(session, "test");
}

static uint64_t files_used(void)
{
	return server.sessions.accounts.server.used[LIMITED_FILES];
}

static void lanes_and_sessions_are_limited(void **state)
{
	struct session *sessions[3];
	struct wire_token token;

	(void)state;
	for (int i = 0; i < 3; i++)
		sessions[i] = open_session(WIRE_TRANSPORT_TCP);
	assert_null(open_session(WIRE_TRANSPORT_TCP));
	/* as many as OPEN asked for */
	for (int i = 0; i < 4; i++)
		join_of(sessions[0]);
	assert_int_equal(link_set_token(&sessions[0]->links, &token),
			 WIRE_E_LIMIT);
	for (int i = 0; i < 3; i++)
		session_end(sessions[i], "test");
	/* those of all sessions together have to have a descriptor each */
	assert_int_equal(files_used(), 0);
	accounts_limit_files(&server.sessions.accounts, 11);
	for (int i = 0; i < 2; i++)
		assert_non_null(sessions[i] = open_session(WIRE_TRANSPORT_TCP));
	assert_null(open_session(WIRE_TRANSPORT_TCP));
	assert_non_null(sessions[2] = open_session(WIRE_TRANSPORT_RDMA));
	assert_int_equal(files_used(), 8);
	for (int i = 0; i < 3; i++)
		session_end(sessions[i], "test");
	assert_int_equal(files_used(), 0);
}

static void fence_waits_for_every_lane(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_join unused = join_of(session);
	struct link lanes[3];
	struct link later;

	(void)state;
	closed = 0;
	for (int i = 0; i < 3; i++)
		join_lane(session, &lanes[i]);
	assert_int_equal(session_fence(session, 42), 0);
	assert_int_equal(closed, 3);
	assert_int_equal(session_fence(session, 43), WIRE_E_LIMIT);
	assert_null(admit(&unused, &tcp_link_ops));
	/* a lane of the time after the fence is none of its business */
	join_lane(session, &later);
	link_gone(&lanes[1]);
	link_close(&later);
	link_gone(&later);
	link_gone(&lanes[0]);
	assert_int_equal(replies, 0);
	link_gone(&lanes[2]);
	assert_int_equal(replies, 1);
	assert_int_equal(last_reply.type, WIRE_FENCED);
	assert_int_equal(last_reply.cookie, 42);
	assert_int_equal(last_reply.fenced.lanes_closed, 3);
	assert_int_equal(session_fence(session, 44), 0);
	assert_int_equal(replies, 2);
	assert_int_equal(last_reply.fenced.lanes_closed, 0);
	session_end(session, "test");
}

static void keeps_slabs_until_lanes_are_gone(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct link lane;

	(void)state;
	closed = 0;
	join_lane(session, &lane);
	grant_slab(&session->owner, 1, 0);
	grant_slab(&session->owner, 2, 1);
	await_replies(2);
	session_end(session, "test");
	assert_int_equal(closed, 1);
	assert_int_equal(server.sessions.count, 1);
	assert_int_equal(slab_pool_figures(&server.pool).used, 2);
	link_gone(&lane);
	assert_int_equal(server.sessions.count, 0);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
}

static void ends_while_a_slab_is_on_its_way(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	grant_slab(&session->owner, 1, 0);
	session_end(session, "test");
	assert_int_equal(server.sessions.count, 1);
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(replies, 0);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
}

static void frees_only_its_own(void **state)
{
	struct session *mine = open_session(WIRE_TRANSPORT_TCP);
	struct session *other = open_session(WIRE_TRANSPORT_TCP);
	uint32_t number;

	(void)state;
	grant_slab(&mine->owner, 9, 77);
	await_replies(1);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_int_equal(last_reply.cookie, 9);
	assert_int_equal(last_reply.slab.label, 77);
	assert_int_equal(last_reply.slab.bytes, SLAB);
	assert_int_equal(last_reply.slab.free_bytes, 3 * SLAB);
	number = last_reply.slab.slab;
	assert_int_equal(session_free_slab(other, number), WIRE_E_NO_SLAB);
	assert_int_equal(session_free_slab(mine, 1000), WIRE_E_NO_SLAB);
	assert_int_equal(session_free_slab(mine, number), 0);
	assert_int_equal(session_free_slab(mine, number), WIRE_E_NO_SLAB);
	session_end(mine, "test");
	session_end(other, "test");
}

/* What a lane still moves is its session's, freed or not. */
static void counts_what_is_held_after_free(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	uint32_t number;

	(void)state;
	grant_slab(&session->owner, 1, 0);
	await_replies(1);
	number = last_reply.slab.slab;
	assert_non_null(slab_hold(&server.pool, number, session->owner.key));
	assert_int_equal(session_free_slab(session, number), 0);
	assert_int_equal(session->owner.slab_count, 0);
	assert_int_equal(session->owner.held_count, 1);
	assert_true(ev_is_active(&session->owner.held_timer));
	assert_int_equal(slab_pool_figures(&server.pool).used, 1);
	/* the session is there as long as what is counted to it */
	session_end(session, "test");
	assert_int_equal(server.sessions.count, 1);
	slab_drop(&server.pool.slabs[number]);
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
}

static void refuses_what_it_has_not(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		grant_slab(&session->owner, i, i);
	await_replies(5);
	assert_int_equal(last_reply.type, WIRE_ERROR);
	assert_int_equal(last_reply.error.code, WIRE_E_NO_MEMORY);
	assert_int_equal(session->owner.slab_count, 4);
	session_end(session, "test");
}

static void rdma_needs_a_lane_before_a_slab(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_RDMA);

	(void)state;
	grant_slab(&session->owner, 1, 0);
	assert_int_equal(replies, 1);
	assert_int_equal(last_reply.error.code, WIRE_E_PROTOCOL);
	session_end(session, "test");
}

/* A spare of one session must not stand in the way of another's need. */
static void takes_a_spare_back(void **state)
{
	struct session *rich = open_session(WIRE_TRANSPORT_RDMA);
	struct session *poor = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	assert_int_equal(slab_take(&server.pool, &rich->owner.spare), 0);
	account_count(&rich->owner.account, LIMITED_SPARE);
	TAILQ_INSERT_TAIL(&server.grants.spares, &rich->owner, spare_entry);
	for (unsigned i = 1; i <= 4; i++)
		grant_slab(&poor->owner, i, i);
	await_replies(4);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_null(rich->owner.spare);
	assert_int_equal(poor->owner.slab_count, 4);
	session_end(rich, "test");
	session_end(poor, "test");
}

int main(void)
{
#define TEST(f)                                                                \
	cmocka_unit_test_setup_teardown(f, server_setup, server_teardown)
	const struct CMUnitTest tests[] = {
		TEST(tokens_join_once),
		TEST(each_session_takes_adopted_links),
		TEST(tokens_expire),
		TEST(lanes_and_sessions_are_limited),
		TEST(fence_waits_for_every_lane),
		TEST(keeps_slabs_until_lanes_are_gone),
		TEST(ends_while_a_slab_is_on_its_way),
		TEST(frees_only_its_own),
		TEST(counts_what_is_held_after_free),
		TEST(refuses_what_it_has_not),
		TEST(rdma_needs_a_lane_before_a_slab),
		TEST(takes_a_spare_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
