/* The limits of a session, of a client and in total: the refusal names the
 * limit that is reached and its value, and the others go on. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "grants/grant.h"
#include "grants/held.h"
#include "session_server.h"
#include "support.h"

/* As in session/accounts.c. */
#define LANES_TOTAL 16384
#define ASKED_TOTAL 16384
#define ASKED	    1024
#define HELD	    64

#define SLABS 80

static uint64_t *total_most;

static int setup(void **state)
{
	server_slabs = SLABS;
	open_lanes = 1;
	if (server_setup(state))
		return -1;
	accounts_limit_sessions(&server.sessions.accounts, 200);
	accounts_limit_files(&server.sessions.accounts, 400);
	total_most = server.sessions.accounts.server.most;
	return 0;
}

static int teardown(void **state)
{
	uint64_t deadline_ns = after_ms(LONG_MS);

	end_all_sessions();
	/* a test that failed may have left a slab held */
	while (server.sessions.count && clock_left_ns(deadline_ns))
		ev_run(server.loop, EVRUN_NOWAIT);
	assert_int_equal(server.sessions.count, 0);
	/* all that was taken was given back */
	for (int i = 0; i < N_LIMITED; i++)
		assert_int_equal(server.sessions.accounts.server.used[i], 0);
	assert_true(TAILQ_EMPTY(&server.sessions.accounts.clients));
	return server_teardown(state);
}

/* Clients at two addresses. */
static struct client *client_at(int i)
{
	static struct net_addr addrs[2];
	static struct client clients[2];
	struct sockaddr_in *in = (struct sockaddr_in *)&addrs[i].storage;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(0x0a000001u + (uint32_t)i);
	clients[i] = *some_client();
	clients[i].addr = &addrs[i];
	return &clients[i];
}

/* A client with a name, at any address. */
static struct client *client_named(const char *identity)
{
	static int address;
	struct client *client = client_at(address++ % 2);

	client->identity = identity;
	return client;
}

static struct session *open_at(int i)
{
	return open_session_of(client_at(i), WIRE_TRANSPORT_RDMA);
}

/* A client gets N sessions, and then it reads LIMIT. */
static void assert_sessions(int client, unsigned n, const char *limit)
{
	for (unsigned i = 0; i < n; i++)
		assert_non_null(open_at(client));
	assert_null(open_at(client));
	assert_string_equal(open_refusal.text, limit);
}

static void sessions_are_limited(void **state)
{
	(void)state;
	accounts_limit_sessions(&server.sessions.accounts, 8);
	assert_sessions(0, 6,
			"the limit of one address is reached: 6 sessions");
	assert_sessions(
		1, 2,
		"the limit of all clients together is reached: 8 sessions");
	assert_int_equal(server.sessions.count, 8);
	/* one that ends makes room */
	session_end(TAILQ_FIRST(&server.sessions.list), "test");
	assert_non_null(open_at(1));
}

/* The same identity at two addresses is one client. */
static void an_identity_is_a_client_wherever_it_is(void **state)
{
	(void)state;
	accounts_limit_sessions(&server.sessions.accounts, 8);
	for (int i = 0; i < 7; i++)
		assert_int_equal(!!open_session_of(client_named("alice"),
						   WIRE_TRANSPORT_RDMA),
				 i < 6);
	assert_string_equal(open_refusal.text,
			    "the limit of one identity is reached: 6 sessions");
	assert_non_null(
		open_session_of(client_named("bob"), WIRE_TRANSPORT_RDMA));
}

/* A disconnected session that has nothing goes, but not for a client that may
 * have no more anyway. */
static void only_its_own_sessions_make_room_for_a_client(void **state)
{
	struct session *own, *other;

	(void)state;
	server.sessions.grace_s = 60;
	accounts_limit_sessions(&server.sessions.accounts, 8);
	other = open_at(1);
	session_lost(other, "test");
	assert_sessions(0, 6,
			"the limit of one address is reached: 6 sessions");
	assert_int_equal(other->state, SESSION_DISCONNECTED);
	own = TAILQ_NEXT(other, entry);
	session_lost(own, "test");
	assert_non_null(open_at(0));
	assert_int_equal(server.sessions.count, 7);
	assert_int_equal(other->state, SESSION_DISCONNECTED);
	/* in total */
	assert_non_null(open_at(1));
	assert_non_null(open_at(1));
	assert_int_equal(server.sessions.count, 8);
	assert_ptr_not_equal(TAILQ_FIRST(&server.sessions.list), other);
}

static void lanes_are_limited(void **state)
{
	const unsigned of_client = LANES_TOTAL * 3 / 4 / LINK_SET_MAX;
	const unsigned all = LANES_TOTAL / LINK_SET_MAX;

	(void)state;
	open_lanes = LINK_SET_MAX;
	assert_sessions(0, of_client,
			"the limit of one address is reached: 12288 lanes");
	assert_sessions(
		1, all - of_client,
		"the limit of all clients together is reached: 16384 lanes");
}

static void descriptors_of_lanes_are_limited(void **state)
{
	(void)state;
	open_lanes = 100;
	for (int i = 0; i < 3; i++)
		assert_non_null(
			open_session_of(client_at(0), WIRE_TRANSPORT_TCP));
	assert_null(open_session_of(client_at(0), WIRE_TRANSPORT_TCP));
	assert_string_equal(open_refusal.text,
			    "the limit of one address is reached: 300 file "
			    "descriptors for lanes");
	/* a lane over RDMA has none */
	assert_non_null(open_at(0));
	assert_non_null(open_session_of(client_at(1), WIRE_TRANSPORT_TCP));
	assert_null(open_session_of(client_at(1), WIRE_TRANSPORT_TCP));
	assert_string_equal(open_refusal.text,
			    "the limit of all clients together is reached: 400 "
			    "file descriptors for lanes");
}

/* --- ALLOC --- */

static struct session *open_tcp(int client)
{
	return open_session_of(client_at(client), WIRE_TRANSPORT_TCP);
}

static void ask(struct session *session, unsigned n)
{
	static uint64_t label;

	for (unsigned i = 0; i < n; i++)
		grant_slab(&session->owner, i, label++);
}

/* One more ALLOC is answered at once, by LIMIT. */
static void assert_asked_too_much(struct session *session, const char *limit)
{
	unsigned before = replies;

	ask(session, 1);
	assert_int_equal(replies, before + 1);
	assert_int_equal(last_reply.type, WIRE_ERROR);
	assert_int_equal(last_reply.error.code, WIRE_E_LIMIT);
	assert_string_equal(last_reply.error.text, limit);
}

static void await_slab(struct session *session)
{
	uint32_t slabs = session->owner.slab_count;
	unsigned before = replies;

	ask(session, 1);
	await_replies(before + 1);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_int_equal(session->owner.slab_count, slabs + 1);
}

static void unanswered_allocs_of_a_session_are_limited(void **state)
{
	struct session *greedy = open_tcp(0), *modest = open_tcp(0);

	(void)state;
	ask(greedy, ASKED);
	assert_asked_too_much(
		greedy,
		"the limit of one session is reached: 1024 unanswered ALLOCs");
	ask(modest, 1);
	/* the answers make room again */
	while (greedy->owner.granted || modest->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(modest->owner.slab_count, 1);
	ask(greedy, 1);
	assert_int_equal(greedy->owner.granted, 1);
}

static void unanswered_allocs_in_total_are_limited(void **state)
{
	struct session *session;

	(void)state;
	for (int i = 0; i < ASKED_TOTAL * 3 / 4 / ASKED; i++)
		ask(open_tcp(0), ASKED);
	session = open_tcp(0);
	assert_asked_too_much(
		session,
		"the limit of one address is reached: 12288 unanswered ALLOCs");
	for (int i = 0; i < ASKED_TOTAL / 4 / ASKED; i++) {
		session = open_tcp(1);
		ask(session, ASKED - 1);
	}
	ask(session, 1);
	session = open_tcp(1);
	ask(session, ASKED_TOTAL / 4 / ASKED - 1);
	assert_asked_too_much(session, "the limit of all clients together is "
				       "reached: 16384 unanswered ALLOCs");
}

/* --- slabs that come back --- */

/* A slab that SESSION frees while a lane uses it. */
static struct slab *hold_one(struct session *session)
{
	struct slab *slab;

	await_slab(session);
	slab = TAILQ_LAST(&session->owner.slabs, slab_list);
	assert_non_null(
		slab_hold(&server.pool, slab->number, session->owner.key));
	assert_int_equal(session_free_slab(session, slab->number), 0);
	return slab;
}

static void held_slabs_of_a_session_are_limited(void **state)
{
	struct session *hoards = open_tcp(0), *other = open_tcp(0);
	struct slab *held[HELD];

	(void)state;
	for (int i = 0; i < HELD; i++)
		held[i] = hold_one(hoards);
	assert_asked_too_much(hoards, "the limit of one session is reached: 64 "
				      "freed slabs that lanes still use");
	await_slab(other);
	slab_drop(held[0]);
	while (hoards->owner.held_count == HELD)
		ev_run(server.loop, EVRUN_ONCE);
	await_slab(hoards);
	for (int i = 1; i < HELD; i++)
		slab_drop(held[i]);
}

static struct session *open_named(const char *identity)
{
	return open_session_of(client_named(identity), WIRE_TRANSPORT_TCP);
}

static void held_slabs_of_an_identity_are_limited(void **state)
{
	struct session *alices[3], *bobs;
	struct slab *held[7];

	(void)state;
	total_most[LIMITED_HELD] = 8;
	for (int i = 0; i < 3; i++)
		alices[i] = open_named("alice");
	bobs = open_named("bob");
	for (int i = 0; i < 6; i++)
		held[i] = hold_one(alices[i % 2]);
	for (int i = 0; i < 2; i++)
		assert_asked_too_much(alices[i],
				      "the limit of one identity is reached: 6 "
				      "freed slabs that lanes still use");
	/* a session without such slabs, and another identity with one */
	await_slab(alices[2]);
	held[6] = hold_one(bobs);
	await_slab(bobs);
	slab_drop(held[0]);
	while (alices[0]->owner.held_count == 3)
		ev_run(server.loop, EVRUN_ONCE);
	await_slab(alices[1]);
	for (int i = 1; i < 7; i++)
		slab_drop(held[i]);
}

static void held_slabs_in_total_are_limited(void **state)
{
	struct session *hoards = open_tcp(0), *other = open_tcp(0);
	struct slab *held[2];

	(void)state;
	total_most[LIMITED_HELD] = 2;
	for (int i = 0; i < 2; i++)
		held[i] = hold_one(hoards);
	assert_asked_too_much(hoards,
			      "the limit of all clients together is reached: 2 "
			      "freed slabs that lanes still use");
	/* who holds none is not concerned */
	await_slab(other);
	for (int i = 0; i < 2; i++)
		slab_drop(held[i]);
}

/* --- spares --- */

static int register_nothing(struct link_domain *domain, struct slab *slab)
{
	(void)domain;
	(void)slab;
	return 0;
}

static void no_domain(struct link_domain *domain)
{
	(void)domain;
}

/* A session whose slabs have to be registered. */
static struct session *open_registered(struct client *client)
{
	static struct link_ops ops;
	static char domain;
	struct session *session = open_session_of(client, WIRE_TRANSPORT_RDMA);

	ops = *session->links.ops;
	ops.slab_register = register_nothing;
	ops.domain_put = no_domain;
	session->links.ops = &ops;
	session->links.domain = (struct link_domain *)&domain;
	grant_spare(&session->owner);
	while (session->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	return session;
}

static void spares_are_limited(void **state)
{
	struct session *first, *second;

	(void)state;
	server.grants.keep_spares = true;
	total_most[LIMITED_SPARE] = 1;
	first = open_registered(client_at(0));
	second = open_registered(client_at(1));
	assert_non_null(first->owner.spare);
	assert_null(second->owner.spare);
	/* a slab takes longer without a spare, and comes */
	await_slab(second);
	/* the next spare goes to the first that needs one then */
	grant_put_spare_back(&first->owner);
	await_slab(second);
	while (second->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	assert_non_null(second->owner.spare);
}

static void spares_of_an_identity_are_limited(void **state)
{
	struct session *alices[4], *bobs;

	(void)state;
	server.grants.keep_spares = true;
	total_most[LIMITED_SPARE] = 4;
	for (int i = 0; i < 4; i++) {
		alices[i] = open_registered(client_named("alice"));
		assert_int_equal(!!alices[i]->owner.spare, i < 3);
	}
	bobs = open_registered(client_named("bob"));
	assert_non_null(bobs->owner.spare);
	await_slab(alices[3]);
	grant_put_spare_back(&alices[0]->owner);
	await_slab(alices[3]);
	while (alices[3]->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	assert_non_null(alices[3]->owner.spare);
	assert_non_null(bobs->owner.spare);
}

static void a_spare_of_the_same_identity_goes_first(void **state)
{
	struct session *bobs, *alices[2], *filler = open_tcp(0);

	(void)state;
	server.grants.keep_spares = true;
	total_most[LIMITED_SPARE] = 4;
	bobs = open_registered(client_named("bob"));
	for (int i = 0; i < 2; i++)
		alices[i] = open_registered(client_named("alice"));
	grant_put_spare_back(&alices[1]->owner);
	for (unsigned i = 0; i < SLABS - 2; i++)
		await_slab(filler);
	await_slab(alices[1]);
	assert_null(alices[0]->owner.spare);
	assert_non_null(bobs->owner.spare);
}

/* What the others try with smaller ones, as slabs take memory.  The numbers are
 * those of docs/architecture.md. */
static void the_limits_of_slabs_are_as_described(void **state)
{
	const struct account *session = &open_named("alice")->owner.account;

	(void)state;
	assert_int_equal(session->most[LIMITED_SPARE], 1);
	assert_int_equal(session->up->most[LIMITED_SPARE], 96);
	assert_int_equal(total_most[LIMITED_SPARE], 128);
	assert_int_equal(session->most[LIMITED_HELD], 64);
	assert_int_equal(session->up->most[LIMITED_HELD], 768);
	assert_int_equal(total_most[LIMITED_HELD], 1024);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sessions_are_limited),
		TEST(an_identity_is_a_client_wherever_it_is),
		TEST(only_its_own_sessions_make_room_for_a_client),
		TEST(lanes_are_limited),
		TEST(descriptors_of_lanes_are_limited),
		TEST(unanswered_allocs_of_a_session_are_limited),
		TEST(unanswered_allocs_in_total_are_limited),
		TEST(held_slabs_of_a_session_are_limited),
		TEST(held_slabs_of_an_identity_are_limited),
		TEST(held_slabs_in_total_are_limited),
		TEST(spares_are_limited),
		TEST(spares_of_an_identity_are_limited),
		TEST(a_spare_of_the_same_identity_goes_first),
		TEST(the_limits_of_slabs_are_as_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
