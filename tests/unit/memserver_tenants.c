/* What tenants may have: limits, guarantees, turns by weight, and which tenant
 * makes room for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "grants/grant.h"
#include "log.h"
#include "session/release.h"
#include "session_server.h"
#include "support.h"

#define SERVER_SLABS 64

static int setup(void **state)
{
	server_slabs = SERVER_SLABS;
	if (server_setup(state))
		return -1;
	accounts_limit_sessions(&server.sessions.accounts, 20);
	accounts_limit_files(&server.sessions.accounts, 1000);
	server.sessions.grace_s = 60;
	return 0;
}

static int teardown(void **state)
{
	end_all_sessions();
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(server.tenants.slabs, 0);
	tenants_close(&server.tenants);
	assert_int_equal(server.tenants.reserved, 0);
	return server_teardown(state);
}

static struct session *open_as(const char *identity)
{
	return open_session_as(identity, WIRE_TRANSPORT_TCP);
}

static struct session *open_limited(const char *identity,
				    struct tenant_limits limits)
{
	struct session *session = open_as(identity);

	assert_non_null(session);
	tenant_limit(session->owner.tenant, &limits);
	return session;
}

static struct tenant_limits guaranteed(uint64_t slabs)
{
	struct tenant_limits limits = tenant_no_limits;

	limits.guaranteed_bytes = slabs * SLAB;
	return limits;
}

static struct tenant_limits at_most(uint64_t slabs)
{
	struct tenant_limits limits = tenant_no_limits;

	limits.memory_bytes = slabs * SLAB;
	return limits;
}

static struct tenant_limits weighing(uint32_t weight)
{
	struct tenant_limits limits = tenant_no_limits;

	limits.weight = weight;
	return limits;
}

static uint64_t next_label;

static void ask(struct session *session, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t label = next_label++;

		grant_slab(&session->owner, (uint32_t)label, label);
	}
}

static void await_grants(const struct session *session)
{
	while (session->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
}

static void take(struct session *session, unsigned n)
{
	uint32_t before = session->owner.slab_count;

	ask(session, n);
	await_grants(session);
	assert_int_equal(session->owner.slab_count, before + n);
}

/* One more is refused, and TEXT is why. */
static void assert_refused(struct session *session, const char *text)
{
	uint32_t before = session->owner.slab_count;

	ask(session, 1);
	await_grants(session);
	assert_int_equal(session->owner.slab_count, before);
	assert_int_equal(last_reply.type, WIRE_ERROR);
	assert_int_equal(last_reply.error.code, WIRE_E_NO_MEMORY);
	assert_contains(last_reply.error.text, text);
}

static void free_one(struct session *session)
{
	struct slab *slab = TAILQ_FIRST(&session->owner.slabs);

	assert_int_equal(session_free_slab(session, slab->number), 0);
}

static uint64_t told(const char *identity)
{
	return grants_free_bytes(&server.grants, identity) / SLAB;
}

/* --- memory --- */

static void a_guarantee_holds_against_one_that_takes_all(void **state)
{
	struct session *safe = open_limited("safe", guaranteed(10));
	struct session *greedy = open_as("greedy");

	(void)state;
	assert_int_equal(told("greedy"), SERVER_SLABS - 10);
	assert_int_equal(told("nobody"), SERVER_SLABS - 10);
	assert_int_equal(told("safe"), SERVER_SLABS);
	take(greedy, SERVER_SLABS - 10);
	assert_refused(greedy, "10M are guaranteed to other tenants");
	assert_int_equal(told("greedy"), 0);
	assert_int_equal(told("safe"), 10);
	take(safe, 10);
	assert_refused(safe, "all memory is in use");
	/* what comes back of a guarantee is the tenant's own */
	free_one(safe);
	assert_refused(greedy, "guaranteed");
	take(safe, 1);
	free_one(greedy);
	take(safe, 1);
	assert_refused(greedy, "all memory is in use");
}

static void sessions_of_a_tenant_share_its_memory(void **state)
{
	struct session *a = open_limited("t", at_most(5));
	struct session *b = open_as("t");
	struct session *other = open_as("other");

	(void)state;
	assert_int_equal(told("t"), 5);
	take(a, 3);
	assert_int_equal(last_reply.slab.free_bytes, 2 * SLAB);
	take(b, 2);
	assert_int_equal(last_reply.slab.free_bytes, 0);
	assert_refused(a, "tenant t has all of its memory (memory=5M)");
	assert_refused(b, "memory=5M");
	take(other, 20);
	free_one(a);
	take(b, 1);
	assert_int_equal(told("t"), 0);
}

/* A slab that a link still uses is its tenant's, freed or not. */
static void held_slabs_count(void **state)
{
	struct session *session = open_limited("t", at_most(1));
	uint32_t number;

	(void)state;
	take(session, 1);
	number = TAILQ_FIRST(&session->owner.slabs)->number;
	assert_non_null(slab_hold(&server.pool, number, session->owner.key));
	free_one(session);
	assert_refused(session, "memory=1M");
	slab_drop(&server.pool.slabs[number]);
	while (session->owner.held_count)
		ev_run(server.loop, EVRUN_ONCE);
	take(session, 1);
}

static void a_lower_limit_takes_nothing_away(void **state)
{
	struct session *session = open_as("t");
	struct tenant_limits less = at_most(4);

	(void)state;
	take(session, 8);
	less.sessions = 0;
	tenant_limit(session->owner.tenant, &less);
	assert_int_equal(session->owner.slab_count, 8);
	assert_int_equal(told("t"), 0);
	assert_refused(session, "memory=4M");
	assert_null(open_as("t"));
	for (int i = 0; i < 5; i++)
		free_one(session);
	assert_int_equal(told("t"), 1);
	take(session, 1);
}

/* A guarantee that others have used up already is filled as they free. */
static void a_guarantee_may_come_late(void **state)
{
	struct session *early = open_as("early");
	struct session *late = open_as("late");
	struct session *other = open_as("other");
	struct tenant_limits limits = guaranteed(4);

	(void)state;
	take(early, SERVER_SLABS);
	tenant_limit(late->owner.tenant, &limits);
	tenant_limit(other->owner.tenant, &limits);
	assert_int_equal(told("late"), 0);
	assert_refused(late, "all memory is in use");
	free_one(early);
	assert_refused(early, "1M are guaranteed");
	assert_int_equal(told("other"), 1);
	take(late, 1);
	assert_int_equal(told("other"), 0);
}

static void the_stock_has_limits_too(void **state)
{
	struct session *session = open_limited("t", at_most(1));

	(void)state;
	server.pool.stock_target = 4;
	slab_stock_fill(&server.pool);
	while (slab_pool_figures(&server.pool).stock < 4)
		;
	take(session, 1);
	assert_refused(session, "memory=1M");
	server.pool.stock_target = 0;
}

static unsigned calm_lines;

static void note_calm(enum log_level level, const char *line)
{
	(void)level;
	calm_lines += strstr(line, "tenant calm: gets no slab: ") != NULL;
}

/* A tenant that frees and asks in turn is refused again and again.  The log
 * still has the line of another tenant, once. */
static void refusals_of_one_hide_no_others(void **state)
{
	struct session *busy = open_limited("busy", at_most(1));
	struct session *calm = open_limited("calm", at_most(1));

	(void)state;
	busy->peer = peer_name("busy", "10.0.0.1:1");
	calm->peer = peer_name("calm", "10.0.0.1:2");
	take(busy, 1);
	take(calm, 1);
	for (int i = 0; i < 2 * LOG_LIMIT_LINES; i++) {
		assert_refused(busy, "memory=1M");
		free_one(busy);
		take(busy, 1);
	}
	calm_lines = 0;
	log_to(note_calm);
	assert_refused(calm, "memory=1M");
	assert_refused(calm, "memory=1M");
	assert_int_equal(calm_lines, 1);
	quiet_log();
}

/* --- sessions and lanes --- */

static void sessions_are_limited(void **state)
{
	struct tenant_limits limits = tenant_no_limits;
	struct session *first;

	(void)state;
	limits.sessions = 2;
	first = open_limited("t", limits);
	assert_non_null(open_as("t"));
	assert_null(open_as("t"));
	assert_contains(open_refusal.text, "tenant t has 2 sessions");
	assert_contains(open_refusal.text, "(sessions=2)");
	assert_non_null(open_as("other"));
	session_end(first, "test");
	assert_non_null(open_as("t"));
}

static void lanes_are_limited(void **state)
{
	struct tenant_limits limits = tenant_no_limits;
	struct session *first;
	struct link lane;

	(void)state;
	limits.lanes = 11;
	first = open_limited("t", limits); /* each has 4 */
	assert_non_null(open_as("t"));
	assert_null(open_as("t"));
	assert_contains(open_refusal.text, "has 8 lanes and wants 4");
	assert_contains(open_refusal.text, "(lanes=11)");
	/* until the last lane of a session is gone */
	join_lane(first, &lane);
	session_end(first, "test");
	assert_null(open_as("t"));
	link_gone(&lane);
	assert_non_null(open_as("t"));
}

/* --- making room --- */

static void room_is_made_within_the_tenant(void **state)
{
	struct session *others = open_as("other");
	struct tenant_limits limits = tenant_no_limits;
	struct session *mine;

	(void)state;
	session_lost(others, "test");
	limits.sessions = 1;
	mine = open_limited("t", limits);
	assert_null(open_as("t"));
	session_lost(mine, "test");
	mine = open_as("t");
	assert_non_null(mine);
	assert_int_equal(server.sessions.count, 2);
	/* nor does a session with memory give way */
	take(mine, 1);
	session_lost(mine, "test");
	assert_null(open_as("t"));
	assert_int_equal(others->state, SESSION_DISCONNECTED);
}

static void of_all_sessions_its_own_give_way_first(void **state)
{
	struct session *others = open_as("other");
	struct session *mine = open_as("t");

	(void)state;
	accounts_limit_sessions(&server.sessions.accounts, 3);
	open_as("third");
	session_lost(others, "test");
	session_lost(mine, "test");
	assert_non_null(open_as("t"));
	assert_int_equal(others->state, SESSION_DISCONNECTED);
	assert_non_null(open_as("t"));
	assert_int_equal(server.sessions.count, 3);
	assert_null(open_as("t"));
	assert_contains(open_refusal.text, ": 3 sessions");
}

/* --- turns --- */

static void run_until(const struct session *a, const struct session *b,
		      uint32_t slabs)
{
	while (a->owner.slab_count + b->owner.slab_count < slabs)
		ev_run(server.loop, EVRUN_ONCE);
}

static void turns_go_by_weight(void **state)
{
	struct session *light = open_limited("light", weighing(1));
	struct session *heavy = open_limited("heavy", weighing(3));

	(void)state;
	ask(light, 30);
	ask(heavy, 30);
	run_until(light, heavy, 24);
	assert_in_range(heavy->owner.slab_count, 17, 19);
	await_grants(heavy);
	await_grants(light);
	assert_int_equal(light->owner.slab_count, 30);
}

/* More sessions, or more wishes, are no more turns. */
static void sessions_do_not_add_up(void **state)
{
	struct session *one = open_as("one");
	struct session *many[5];
	uint32_t sum = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		many[i] = open_as("many");
		ask(many[i], 6);
	}
	ask(one, 10);
	while (one->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
	for (int i = 0; i < 5; i++) {
		assert_in_range(many[i]->owner.slab_count, 1, 3);
		sum += many[i]->owner.slab_count;
	}
	assert_in_range(sum, 9, 11);
}

/* The turns of the time in which a tenant wanted nothing are gone. */
static void the_idle_are_owed_nothing(void **state)
{
	struct session *idle = open_as("idle");
	struct session *busy = open_as("busy");

	(void)state;
	take(idle, 1);
	take(busy, 20);
	ask(busy, 10);
	ask(idle, 10);
	run_until(busy, idle, 31);
	assert_in_range(idle->owner.slab_count, 5, 7);
}

/* --- memory pressure --- */

static void what_is_beyond_the_guarantee_goes_first(void **state)
{
	struct session *within = open_limited("within", guaranteed(16));
	struct session *beyond = open_limited("beyond", guaranteed(4));
	struct session *second = open_as("beyond");
	struct session *without = open_as("without");

	(void)state;
	take(within, 16);
	take(beyond, 10);
	take(second, 10);
	take(without, 12); /* 48 in all, so 6 are asked for at a time */
	release_some(&server.sessions);
	assert_int_equal(within->release_slabs, 0);
	/* 16 to 12 */
	assert_in_range(without->release_slabs, 2, 3);
	assert_int_equal(beyond->release_slabs + second->release_slabs +
				 without->release_slabs,
			 6);
	assert_in_range(beyond->release_slabs, 1, 2);
	/* 19 are left, of these 1 beyond the guarantee; 3 are asked for */
	for (int i = 0; i < 8; i++) {
		free_one(beyond);
		free_one(second);
	}
	free_one(second);
	for (int i = 0; i < 12; i++)
		free_one(without);
	tenant_limit(beyond->owner.tenant,
		     &(struct tenant_limits){ .memory_bytes = TENANT_ANY_BYTES,
					      .guaranteed_bytes = 2 * SLAB,
					      .weight = 1 });
	release_some(&server.sessions);
	assert_int_equal(within->release_slabs + beyond->release_slabs +
				 second->release_slabs,
			 3);
	assert_in_range(within->release_slabs, 1, 2);
	assert_in_range(beyond->release_slabs + second->release_slabs, 1, 2);
}

/* --- a file --- */

static int read_lines(const char *lines, struct error *why)
{
	char path[] = "/tmp/rswap-tenants.XXXXXX";
	int fd = mkstemp(path);
	size_t length = strlen(lines);
	int rc;

	assert_int_equal(write(fd, lines, length), length);
	close(fd);
	rc = tenants_read(&server.tenants, path, why);
	unlink(path);
	return rc;
}

static void the_file_says_who_may_have_what(void **state)
{
	struct error why;
	struct session *session;

	(void)state;
	assert_int_equal(read_lines("a guaranteed=8M sessions=1\n"
				    "b memory=4M\n",
				    &why),
			 0);
	/* before its first session */
	assert_int_equal(told("b"), 4);
	assert_int_equal(told("a"), SERVER_SLABS);
	assert_int_equal(told("c"), 0);
	assert_null(open_as("c"));
	assert_contains(open_refusal.text, "identity c is not in the file");
	assert_contains(open_refusal.text, "--tenants");
	session = open_as("a");
	assert_null(open_as("a"));
	/* a guarantee stays when its sessions end */
	session_end(session, "test");
	assert_int_equal(server.tenants.reserved, 8);
	assert_int_equal(read_lines("* memory=5M sessions=1\n", &why), 0);
	assert_int_equal(server.tenants.reserved, 0);
	assert_true(TAILQ_EMPTY(&server.tenants.list));
	assert_int_equal(told("c"), 5);
	session = open_as("c");
	take(session, 5);
	assert_refused(session, "memory=5M");
	assert_null(open_as("c"));
	/* a line of its own comes, and stays without a session */
	assert_int_equal(read_lines("c guaranteed=9M\n*", &why), 0);
	take(session, 1);
	session_end(session, "test");
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(server.tenants.reserved, 9);
	assert_non_null(open_as("d"));
}

static void a_bad_file_changes_nothing(void **state)
{
	struct error why;

	(void)state;
	assert_int_equal(read_lines("a memory=4M guaranteed=4M\n", &why), 0);
	assert_int_not_equal(read_lines("a memory=5M\nb wait=1\n", &why), 0);
	assert_contains(why.text, "--tenants=/tmp/rswap-tenants.");
	assert_contains(why.text, ": line 2: wait=1: allowed: memory=, ");
	assert_int_not_equal(
		read_lines("a guaranteed=40M\nb guaranteed=25M", &why), 0);
	assert_contains(why.text, "guaranteed= of all lines adds up to 65M: "
				  "allowed is at most --memory=64M");
	assert_int_equal(told("a"), 4);
	assert_int_equal(server.tenants.reserved, 4);
	assert_int_equal(read_lines("a guaranteed=40M\nb guaranteed=24M", &why),
			 0);
	assert_int_equal(told("a"), 40);
}

static void the_removed_keep_what_they_have(void **state)
{
	struct session *session = open_as("a");
	struct error why;

	(void)state;
	take(session, 3);
	assert_int_equal(read_lines("b\n", &why), 0);
	assert_int_equal(session->owner.slab_count, 3);
	assert_refused(session, "memory=0");
	assert_null(open_as("a"));
	assert_contains(open_refusal.text, "identity a is not in");
	/* it may resume its session */
	assert_true(tenants_know(&server.tenants, "a", &why));
	session_end(session, "test");
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_false(tenants_know(&server.tenants, "a", &why));
	assert_contains(why.text, "identity a is not in");
	/* only b is left */
	assert_string_equal(TAILQ_FIRST(&server.tenants.list)->name, "b");
	assert_null(TAILQ_NEXT(TAILQ_FIRST(&server.tenants.list), entry));
}

/* --- reservations in a pool --- */

static void reserve(const char *name, uint64_t slabs)
{
	struct tenants_reservation list[] = { { .bytes = slabs * SLAB } };

	snprintf(list[0].name, sizeof list[0].name, "%s", name);
	tenants_reserve(&server.tenants, list, slabs ? 1 : 0);
}

static void what_is_reserved_is_held_back(void **state)
{
	struct session *owner, *other = open_as("other");

	(void)state;
	/* before the first session of its owner */
	reserve("owner", 60);
	assert_int_equal(told("other"), 4);
	assert_int_equal(told("owner"), SERVER_SLABS);
	take(other, 4);
	assert_refused(other, "60M are guaranteed to other tenants");
	owner = open_as("owner");
	take(owner, 60);
	assert_refused(owner, "all memory is in use");
	assert_int_equal(tenants_unreserved_bytes(&server.tenants), 4 * SLAB);
	/* given back while it is in use: takes nothing away */
	reserve("owner", 0);
	assert_int_equal(owner->owner.slab_count, 60);
	assert_int_equal(tenants_unreserved_bytes(&server.tenants), 64 * SLAB);
	free_one(owner);
	take(other, 1);
}

static void a_reservation_lasts_as_long_as_it_is_listed(void **state)
{
	struct tenants_reservation list[] = {
		{ .name = "a", .bytes = 8 * SLAB },
		{ .name = "b", .bytes = 16 * SLAB },
	};
	struct session *session;

	(void)state;
	tenants_reserve(&server.tenants, list, 2);
	assert_int_equal(server.tenants.reserved, 24);
	session = open_as("a");
	session_end(session, "test");
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(server.tenants.reserved, 24);
	tenants_reserve(&server.tenants, list + 1, 1);
	assert_int_equal(server.tenants.reserved, 16);
	tenants_reserve(&server.tenants, NULL, 0);
	assert_int_equal(server.tenants.reserved, 0);
	assert_true(TAILQ_EMPTY(&server.tenants.list));
}

static void the_file_limits_reservations(void **state)
{
	struct error why;

	(void)state;
	reserve("a", 10);
	assert_int_equal(server.tenants.reserved, 10);
	assert_int_equal(read_lines("a memory=6M guaranteed=4M\n*", &why), 0);
	assert_int_equal(server.tenants.reserved, 6);
	/* the larger of the two, not both */
	reserve("a", 5);
	assert_int_equal(server.tenants.reserved, 5);
	reserve("a", 2);
	assert_int_equal(server.tenants.reserved, 4);
	assert_int_equal(tenants_unreserved_bytes(&server.tenants), 2 * SLAB);
	/* one that the file does not have gets nothing, and keeps nothing */
	reserve("c", 5);
	assert_int_equal(read_lines("a\n", &why), 0);
	assert_int_equal(server.tenants.reserved, 0);
	assert_int_equal(read_lines("a\n*", &why), 0);
	assert_int_equal(server.tenants.reserved, 5);
}

static void what_is_beyond_a_quota_is_not_held_back(void **state)
{
	struct tenants_reservation list[] = {
		{ .name = "a", .bytes = 48 * SLAB, .over_bytes = 40 * SLAB },
	};
	struct session *a, *other = open_as("other");

	(void)state;
	tenants_reserve(&server.tenants, list, 1);
	assert_int_equal(server.tenants.reserved, 8);
	assert_int_equal(told("other"), SERVER_SLABS - 8);
	/* it may use more, as all may; for others that plan that is not new */
	a = open_as("a");
	take(a, 20);
	assert_int_equal(server.tenants.reserved, 0);
	assert_int_equal(tenants_unreserved_bytes(&server.tenants), 0);
	take(other, SERVER_SLABS - 20);
	/* nothing is left of it: it is known until it is not listed */
	list[0].over_bytes = 48 * SLAB;
	tenants_reserve(&server.tenants, list, 1);
	assert_int_equal(a->owner.slab_count, 20);
	assert_int_equal(tenants_unreserved_bytes(&server.tenants),
			 (SERVER_SLABS - 20) * SLAB);
}

/* An operator allows it, or somebody wrote nonsense into etcd. */
static void more_may_be_reserved_than_there_is(void **state)
{
	struct tenants_reservation list[] = {
		{ .name = "a", .bytes = 48 * SLAB },
		{ .name = "b", .bytes = 48 * SLAB },
		{ .name = "c", .bytes = INT64_MAX },
	};
	struct session *a, *b, *other = open_as("other");

	(void)state;
	tenants_reserve(&server.tenants, list, 2);
	a = open_as("a");
	b = open_as("b");
	assert_int_equal(told("other"), 0);
	assert_refused(other, "guaranteed to other tenants");
	take(a, 40);
	assert_int_equal(told("b"), 24);
	take(b, 24);
	assert_refused(a, "all memory is in use");
	tenants_reserve(&server.tenants, list, 3);
	assert_int_equal(server.tenants.reserved, 8 + 24 + SERVER_SLABS);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_guarantee_holds_against_one_that_takes_all),
		TEST(sessions_of_a_tenant_share_its_memory),
		TEST(held_slabs_count),
		TEST(a_lower_limit_takes_nothing_away),
		TEST(a_guarantee_may_come_late),
		TEST(the_stock_has_limits_too),
		TEST(refusals_of_one_hide_no_others),
		TEST(sessions_are_limited),
		TEST(lanes_are_limited),
		TEST(room_is_made_within_the_tenant),
		TEST(of_all_sessions_its_own_give_way_first),
		TEST(turns_go_by_weight),
		TEST(sessions_do_not_add_up),
		TEST(the_idle_are_owed_nothing),
		TEST(what_is_beyond_the_guarantee_goes_first),
		TEST(the_file_says_who_may_have_what),
		TEST(a_bad_file_changes_nothing),
		TEST(the_removed_keep_what_they_have),
		TEST(what_is_reserved_is_held_back),
		TEST(a_reservation_lasts_as_long_as_it_is_listed),
		TEST(the_file_limits_reservations),
		TEST(what_is_beyond_a_quota_is_not_held_back),
		TEST(more_may_be_reserved_than_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
