/* Sessions that outlive their control connection: what stays, which client may
 * resume them, and what becomes of answers that were on their way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "grants/grant.h"
#include "links/tcp.h"
#include "session/lookup.h"
#include "session_server.h"

static const struct peer_name elsewhere = { "elsewhere" };

static int setup(void **state)
{
	int rc = server_setup(state);

	server.sessions.grace_s = 60;
	return rc;
}

static struct wire_resume resume_of(const struct session *session)
{
	struct wire_resume resume = { .session = session->owner.key };

	memcpy(resume.token, session->resumption.token, sizeof resume.token);
	return resume;
}

static struct error refusal; /* of RESUME */

static struct session *resume(const struct wire_resume *how, uint32_t cookie)
{
	return session_resume(&server.sessions, some_client(), &elsewhere, how,
			      cookie, &refusal);
}

/* Loses the connection of SESSION and resumes it; it has no lanes. */
static void reconnect(struct session *session)
{
	struct wire_resume how = resume_of(session);
	unsigned before = replies;

	session_lost(session, "test");
	assert_ptr_equal(resume(&how, 77), session);
	assert_int_equal(replies, before + 1);
	assert_int_equal(last_reply.type, WIRE_RESUMED);
}

static uint32_t alloc(struct session *session, uint64_t label)
{
	unsigned before = replies;

	grant_slab(&session->owner, before + 100, label);
	await_replies(before + 1);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_int_equal(last_reply.cookie, before + 100);
	assert_int_equal(last_reply.slab.label, label);
	return last_reply.slab.slab;
}

static void keeps_its_slabs(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how = resume_of(session);
	struct wire_join unused = join_of(session);
	struct link lane;

	(void)state;
	join_lane(session, &lane);
	alloc(session, 3);
	alloc(session, 4);
	session_lost(session, "test");
	assert_int_equal(session->state, SESSION_DISCONNECTED);
	assert_int_equal(closed, 1);
	assert_null(admit(&unused, &tcp_link_ops));
	link_gone(&lane);
	assert_int_equal(server.sessions.count, 1);
	assert_int_equal(slab_pool_figures(&server.pool).used, 2);

	assert_ptr_equal(resume(&how, 5), session);
	assert_int_equal(last_reply.type, WIRE_RESUMED);
	assert_int_equal(last_reply.cookie, 5);
	assert_int_equal(last_reply.resumed.session, session->owner.key);
	assert_int_equal(last_reply.resumed.slabs, 2);
	assert_int_equal(last_reply.resumed.free_bytes, 2 * SLAB);
	assert_int_equal(session->state, SESSION_OPEN);
	assert_string_equal(session->peer.text, "elsewhere");
	assert_false(ev_is_active(&session->grace));
	assert_int_equal(abandoned, 0);
	join_lane(session, &lane);
	link_gone(&lane);
	session_end(session, "test");
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
}

static void an_identity_resumes_its_own(void **state)
{
	struct client *client = some_client();
	struct session *session;
	struct wire_resume how;

	(void)state;
	session = open_session_as("alpha", WIRE_TRANSPORT_TCP);
	assert_string_equal(session_identity(session), "alpha");
	how = resume_of(session);
	client->identity = "beta";
	assert_null(resume(&how, 1));
	assert_string_equal(refusal.text, "session 1 is another identity's");
	client->identity = "";
	assert_null(resume(&how, 1));
	assert_int_equal(abandoned, 0);
	assert_int_equal(session->state, SESSION_OPEN);
	client->identity = "alpha";
	assert_ptr_equal(resume(&how, 1), session);
	assert_string_equal(session_identity(session), "alpha");
	client->identity = "";
	end_all_sessions();
}

/* How TOKEN was before stays usable until the client has shown that it has the
 * new one. */
static void a_token_resumes_once(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume first = resume_of(session), second, third;

	(void)state;
	assert_ptr_equal(resume(&first, 1), session);
	second = first;
	memcpy(second.token, last_reply.resumed.token, sizeof second.token);
	assert_memory_not_equal(first.token, second.token, sizeof first.token);

	/* RESUMED was lost: again with the token before, and again */
	assert_ptr_equal(resume(&first, 2), session);
	assert_ptr_equal(resume(&first, 4), session);
	memcpy(second.token, last_reply.resumed.token, sizeof second.token);

	/* it came */
	session_heard(session);
	assert_null(resume(&first, 5));
	assert_ptr_equal(resume(&second, 6), session);
	third = second;
	memcpy(third.token, last_reply.resumed.token, sizeof third.token);
	assert_null(resume(&first, 7));
	/* the newest shows it too */
	assert_ptr_equal(resume(&third, 8), session);
	assert_null(resume(&second, 9));
	end_all_sessions();
}

/* A RESUME that the client gave up arrives behind the one with which the client
 * has resumed over another connection. */
static void a_late_resume_takes_nothing_from_the_client(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume first = resume_of(session), told;

	(void)state;
	told = first;
	assert_ptr_equal(resume(&first, 1), session);
	memcpy(told.token, last_reply.resumed.token, sizeof told.token);
	assert_ptr_equal(resume(&first, 2), session);
	assert_ptr_equal(resume(&told, 3), session);
	memcpy(told.token, last_reply.resumed.token, sizeof told.token);
	session_heard(session);
	assert_null(resume(&first, 4));
	assert_ptr_equal(resume(&told, 5), session);
	end_all_sessions();
}

/* What a client sends before RESUMED does not show that it has the token. */
static void a_message_before_resumed_shows_nothing(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume first = resume_of(session);
	struct link lane;

	(void)state;
	join_lane(session, &lane);
	assert_ptr_equal(resume(&first, 1), session);
	assert_int_equal(session->state, SESSION_RESUMING);
	session_heard(session);
	link_gone(&lane);
	assert_int_equal(session->state, SESSION_OPEN);
	session_lost(session, "test");
	assert_ptr_equal(resume(&first, 2), session);
	end_all_sessions();
}

static void strangers_resume_nothing(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct session *other = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how = resume_of(session);

	(void)state;
	assert_memory_not_equal(session->resumption.token,
				other->resumption.token,
				sizeof other->resumption.token);
	for (unsigned i = 0; i < sizeof how.token; i++) {
		how.token[i] ^= 1;
		assert_null(resume(&how, 1));
		assert_string_equal(refusal.text,
				    "the token does not resume session 1, or "
				    "does so no longer");
		how.token[i] ^= 1;
	}
	how.session = other->owner.key;
	assert_null(resume(&how, 1));
	how.session = 99;
	assert_null(resume(&how, 1));
	assert_string_equal(refusal.text, "there never was a session 99");
	how.session = session->owner.key + (UINT64_C(1) << 32);
	assert_null(resume(&how, 1));
	assert_int_equal(replies, 0);
	assert_int_equal(abandoned, 0);
	assert_int_equal(session->state, SESSION_OPEN);
	how = resume_of(session);
	session_end(session, "test");
	assert_null(resume(&how, 1));
	session_end(other, "test");
}

/* The client knows that its connection is dead; the server does not, yet. */
static void takes_over_and_waits_for_the_lanes(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how = resume_of(session);
	struct wire_join unused = join_of(session);
	struct link lanes[2];

	(void)state;
	join_lane(session, &lanes[0]);
	join_lane(session, &lanes[1]);
	/* of a FENCE that the old connection asked for nobody will hear */
	assert_int_equal(session_fence(session, 1), 0);
	link_gone(&lanes[1]);
	assert_ptr_equal(resume(&how, 2), session);
	assert_int_equal(abandoned, 1);
	assert_int_equal(closed, 2);
	assert_int_equal(session->state, SESSION_RESUMING);
	assert_null(admit(&unused, &tcp_link_ops));
	assert_int_equal(replies, 0);
	link_gone(&lanes[0]);
	assert_int_equal(replies, 1);
	assert_int_equal(last_reply.type, WIRE_RESUMED);
	assert_int_equal(last_reply.cookie, 2);
	session_end(session, "test");
}

static void is_lost_again_while_it_resumes(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how = resume_of(session);
	struct link lane;

	(void)state;
	join_lane(session, &lane);
	session_lost(session, "test");
	assert_ptr_equal(resume(&how, 1), session);
	session_lost(session, "test");
	link_gone(&lane);
	assert_int_equal(replies, 0);
	assert_int_equal(session->state, SESSION_DISCONNECTED);
	assert_ptr_equal(resume(&how, 2), session);
	assert_int_equal(replies, 1);
	assert_int_equal(last_reply.cookie, 2);
	session_end(session, "test");
}

static void is_given_up_when_the_time_is_over(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how = resume_of(session);

	(void)state;
	server.sessions.grace_s = 1;
	alloc(session, 1);
	session_lost(session, "test");
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
	assert_null(resume(&how, 1));
	assert_string_equal(refusal.text,
			    "session 1 has ended; without a connection a "
			    "session lives for 1 s");
}

static void ends_at_once_where_nothing_is_to_be_kept(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	server.sessions.grace_s = 0;
	session_lost(session, "test");
	assert_int_equal(server.sessions.count, 0);
	server.sessions.grace_s = 60;
	session = open_session(WIRE_TRANSPORT_TCP);
	session_lost(session, "test");
	assert_int_equal(server.sessions.count, 1);
	session_end_disconnected(&server.sessions, "test");
	assert_int_equal(server.sessions.count, 0);
	server.sessions.stopping = true;
	session = open_session(WIRE_TRANSPORT_TCP);
	session_lost(session, "test");
	assert_int_equal(server.sessions.count, 0);
}

static void a_label_has_one_slab(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct session *other = open_session(WIRE_TRANSPORT_TCP);
	uint32_t slab = alloc(session, 5);

	(void)state;
	assert_int_equal(alloc(session, 5), slab);
	assert_int_not_equal(alloc(other, 5), slab);
	assert_int_not_equal(alloc(session, 6), slab);
	assert_int_equal(session->owner.slab_count, 2);
	assert_int_equal(session_free_slab(session, slab), 0);
	assert_int_equal(session_free_slab(session, slab), WIRE_E_NO_SLAB);
	alloc(session, 5);
	assert_int_equal(session->owner.slab_count, 2);
	/* asked for twice before the first answer */
	grant_slab(&session->owner, 1, 7);
	grant_slab(&session->owner, 2, 7);
	await_replies(replies + 2);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_int_equal(session->owner.slab_count, 3);
	session_end(session, "test");
	session_end(other, "test");
}

/* The same where a slab is ready, and none has to be waited for. */
static void a_label_has_one_of_the_stock(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	uint32_t slab = alloc(session, 5);

	(void)state;
	server.pool.stock_target = 1;
	slab_stock_fill(&server.pool);
	while (!slab_pool_figures(&server.pool).stock)
		usleep(1000);
	assert_int_equal(alloc(session, 5), slab);
	assert_int_equal(slab_pool_figures(&server.pool).stock, 1);
	assert_int_equal(session->owner.slab_count, 1);
	session_end(session, "test");
}

/* The answer to an ALLOC is not sent on the next connection.  A client that
 * asks again gets the slab. */
static void an_answer_on_its_way_is_asked_for_again(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	uint32_t slab;

	(void)state;
	grant_slab(&session->owner, 1, 5);
	assert_int_equal(session->owner.granted, 1);
	reconnect(session);
	while (session->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(replies, 1);
	assert_int_equal(session->owner.slab_count, 1);
	slab = alloc(session, 5);
	reconnect(session);
	assert_int_equal(last_reply.resumed.slabs, 1);
	assert_int_equal(alloc(session, 5), slab);
	/* and where the second question comes before the first one's end */
	grant_slab(&session->owner, 1, 6);
	reconnect(session);
	alloc(session, 6);
	assert_int_equal(session->owner.granted, 0);
	assert_int_equal(session->owner.slab_count, 2);
	/* nor does a refusal reach the wrong one */
	alloc(session, 7);
	alloc(session, 8);
	grant_slab(&session->owner, 1, 9);
	reconnect(session);
	slab = replies;
	while (session->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(replies, slab);
	session_end(session, "test");
}

static void who_holds_nothing_gives_way(void **state)
{
	struct session *full = open_session(WIRE_TRANSPORT_TCP);
	struct session *empty = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how_full = resume_of(full);
	struct wire_resume how_empty = resume_of(empty);

	(void)state;
	alloc(full, 1);
	session_lost(full, "test");
	session_lost(empty, "test");
	assert_non_null(open_session(WIRE_TRANSPORT_TCP));
	/* the third of three; so the next one needs the room */
	assert_int_equal(empty->state, SESSION_DISCONNECTED);
	assert_non_null(open_session(WIRE_TRANSPORT_TCP));
	assert_null(resume(&how_empty, 1));
	assert_null(open_session(WIRE_TRANSPORT_TCP));
	assert_ptr_equal(resume(&how_full, 1), full);
	assert_int_equal(last_reply.resumed.slabs, 1);
	end_all_sessions();
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, server_teardown)
	const struct CMUnitTest tests[] = {
		TEST(keeps_its_slabs),
		TEST(an_identity_resumes_its_own),
		TEST(a_token_resumes_once),
		TEST(a_message_before_resumed_shows_nothing),
		TEST(a_late_resume_takes_nothing_from_the_client),
		TEST(strangers_resume_nothing),
		TEST(takes_over_and_waits_for_the_lanes),
		TEST(is_lost_again_while_it_resumes),
		TEST(is_given_up_when_the_time_is_over),
		TEST(ends_at_once_where_nothing_is_to_be_kept),
		TEST(a_label_has_one_slab),
		TEST(a_label_has_one_of_the_stock),
		TEST(an_answer_on_its_way_is_asked_for_again),
		TEST(who_holds_nothing_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
