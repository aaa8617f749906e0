/* Asking for slabs back: all while the server drains, some under memory
 * pressure, which is read from a file that the test writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "grants/grant.h"
#include "server/pressure.h"
#include "session/release.h"
#include "session_server.h"
#include "support.h"

static char psi_path[64];

static int setup(void **state)
{
	int fd;

	server_slabs = 20;
	if (server_setup(state))
		return -1;
	strcpy(psi_path, "/tmp/rswap-psi.XXXXXX");
	fd = mkstemp(psi_path);
	close(fd);
	server.sessions.grace_s = 60;
	config.reclaim_percent = 10;
	config.psi_path = psi_path;
	return fd < 0;
}

static int teardown(void **state)
{
	end_all_sessions();
	unlink(psi_path);
	return server_teardown(state);
}

static void alloc(struct session *session, uint64_t first, unsigned n)
{
	unsigned before = replies;

	for (unsigned i = 0; i < n; i++)
		grant_slab(&session->owner, i, first + i);
	await_replies(before + n);
	assert_int_equal(last_reply.type, WIRE_SLAB);
}

static void free_one(struct session *session)
{
	struct slab *slab = TAILQ_FIRST(&session->owner.slabs);

	assert_int_equal(session_free_slab(session, slab->number), 0);
}

static void assert_asked(uint32_t slabs, uint32_t error)
{
	assert_int_equal(last_reply.type, WIRE_RELEASE);
	assert_int_equal(last_reply.cookie, 0);
	assert_int_equal(last_reply.release.slabs, slabs);
	assert_int_equal(last_reply.release.error, error);
}

static void assert_refused(struct session *session, uint64_t label)
{
	grant_slab(&session->owner, 9, label);
	assert_int_equal(last_reply.type, WIRE_ERROR);
	assert_int_equal(last_reply.cookie, 9);
	assert_int_equal(last_reply.error.code, WIRE_E_NO_MEMORY);
}

/* --- drain --- */

static void a_drain_asks_all_for_all(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct session *other = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	alloc(session, 0, 3);
	replies = 0;
	assert_int_equal(grants_free_bytes(&server.grants, ""), 17 * SLAB);
	assert_string_equal(release_state_name(&server.sessions), "serving");
	release_drain(&server.sessions, RELEASE_DRAINING);
	assert_int_equal(replies, 2);
	assert_asked(WIRE_RELEASE_ALL, WIRE_RELEASE_DRAIN);
	assert_int_equal(session->release_slabs, WIRE_RELEASE_ALL);
	assert_int_equal(other->release_slabs, WIRE_RELEASE_ALL);
	assert_int_equal(grants_free_bytes(&server.grants, ""), 0);
	assert_string_equal(release_state_name(&server.sessions), "draining");
	assert_int_equal(release_held(&server.sessions).slabs, 3);
	assert_int_equal(release_held(&server.sessions).sessions, 1);

	assert_refused(session, 99);
	/* but what it was given before it may ask for again */
	grant_slab(&session->owner, 10, 2);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	assert_int_equal(last_reply.slab.free_bytes, 0);

	for (int i = 0; i < 3; i++)
		free_one(session);
	assert_int_equal(session->release_slabs, WIRE_RELEASE_ALL);
	assert_int_equal(release_held(&server.sessions).sessions, 0);
	release_drain(&server.sessions, RELEASE_SERVING);
	assert_asked(0, WIRE_RELEASE_DRAIN);
	assert_int_equal(session->release_slabs, 0);
	alloc(session, 0, 1);
}

static void who_comes_later_is_asked_too(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	struct wire_resume how = { .session = session->owner.key };
	struct peer_name peer = { "peer" };
	struct error why;

	(void)state;
	memcpy(how.token, session->resumption.token, sizeof how.token);
	alloc(session, 0, 2);
	session_lost(session, "test");
	replies = 0;
	release_drain(&server.sessions, RELEASE_DRAINING);
	assert_int_equal(replies, 0);
	assert_int_equal(release_held(&server.sessions).slabs, 2);
	assert_int_equal(release_held(&server.sessions).away, 1);
	assert_non_null(session_resume(&server.sessions, some_client(), &peer,
				       &how, 1, &why));
	/* RESUMED, and behind it */
	assert_int_equal(replies, 2);
	assert_asked(WIRE_RELEASE_ALL, WIRE_RELEASE_DRAIN);
	session = open_session(WIRE_TRANSPORT_TCP);
	release_tell(session);
	assert_int_equal(replies, 3);
	assert_int_equal(session->release_slabs, WIRE_RELEASE_ALL);
}

static void what_was_on_its_way_is_refused(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	grant_slab(&session->owner, 9, 1);
	assert_int_equal(release_held(&server.sessions).sessions, 1);
	release_drain(&server.sessions, RELEASE_DRAINING);
	await_replies(2);
	assert_int_equal(last_reply.type, WIRE_ERROR);
	assert_int_equal(last_reply.error.code, WIRE_E_NO_MEMORY);
	assert_int_equal(session->owner.slab_count, 0);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
	assert_int_equal(release_held(&server.sessions).sessions, 0);
}

/* --- memory pressure --- */

static void set_pressure(const char *avg10)
{
	FILE *file = fopen(psi_path, "w");

	assert_non_null(file);
	fprintf(file,
		"some avg10=%s avg60=99.00 avg300=99.00 total=123456\n"
		"full avg10=99.00 avg60=99.00 avg300=99.00 total=99\n",
		avg10);
	fclose(file);
}

static void reads_what_the_kernel_tells(void **state)
{
	unsigned found = 0;

	(void)state;
	assert_true(pressure_find("some avg10=1.05 avg60=2.00\n", &found));
	assert_int_equal(found, 105);
	assert_true(pressure_find("some avg10=100.00 avg60=2.00\n", &found));
	assert_int_equal(found, 10000);
	assert_false(pressure_find("", &found));
	assert_false(pressure_find("full avg10=1.05 avg60=2.00\n", &found));
	assert_false(pressure_find("some avg10=x\n", &found));
}

static void refuses_where_the_kernel_tells_nothing(void **state)
{
	struct error why;

	(void)state;
	set_pressure("0.00");
	assert_true(pressure_check(&config, &why));
	config.psi_path = "/nonexistent/memory";
	assert_false(pressure_check(&config, &why));
	assert_contains(why.text, "--reclaim=10");
	assert_contains(why.text, "/nonexistent/memory");
	assert_contains(why.text, "psi=1");
	config.reclaim_percent = 0;
	assert_true(pressure_check(&config, &why));
}

static void shares_out_by_what_each_holds(void **state)
{
	struct session *large = open_session(WIRE_TRANSPORT_TCP);
	struct session *small = open_session(WIRE_TRANSPORT_TCP);
	struct session *none = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	alloc(large, 0, 14);
	alloc(small, 0, 3);
	set_pressure("10.01");
	replies = 0;
	pressure_look(&server, 1);
	/* 17 slabs, an eighth of which is 3 */
	assert_int_equal(large->release_slabs + small->release_slabs, 3);
	assert_int_equal(large->release_slabs, 2);
	assert_int_equal(none->release_slabs, 0);
	assert_int_equal(last_reply.release.error, WIRE_RELEASE_PRESSURE);
	assert_int_equal(replies, 2);
	assert_refused(large, 99);
	assert_int_equal(grants_free_bytes(&server.grants, ""), 0);
	assert_string_equal(release_state_name(&server.sessions), "reclaiming");
	free_one(large);
	assert_int_equal(large->release_slabs, 1);
	free_one(large);
	free_one(large);
	assert_int_equal(large->release_slabs, 0);
	assert_int_equal(small->release_slabs, 1);
}

static void asks_again_while_it_lasts(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	uint64_t now_ns = 100 * NS_PER_S;

	(void)state;
	alloc(session, 0, 9);
	set_pressure("10.00");
	replies = 0;
	pressure_look(&server, now_ns);
	assert_int_equal(replies, 0);
	set_pressure("55.50");
	pressure_look(&server, now_ns);
	assert_int_equal(replies, 1);
	assert_asked(2, WIRE_RELEASE_PRESSURE);
	free_one(session);
	pressure_look(&server, now_ns + 9 * NS_PER_S);
	assert_int_equal(replies, 1);
	pressure_look(&server, now_ns + 10 * NS_PER_S);
	assert_int_equal(replies, 2);
	assert_asked(1, WIRE_RELEASE_PRESSURE);
	/* what cannot be read changes nothing */
	config.psi_path = "/nonexistent";
	pressure_look(&server, now_ns + 30 * NS_PER_S);
	assert_int_equal(replies, 2);
	config.psi_path = psi_path;
	set_pressure("3.00");
	pressure_look(&server, now_ns + 31 * NS_PER_S);
	assert_int_equal(replies, 3);
	assert_asked(0, WIRE_RELEASE_PRESSURE);
	assert_int_equal(session->release_slabs, 0);
	pressure_look(&server, now_ns + 33 * NS_PER_S);
	assert_int_equal(replies, 3);
	alloc(session, 50, 1);
}

/* Both at a time: a drain asks for all anyway, and outlasts it. */
static void a_drain_comes_first(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	alloc(session, 0, 8);
	release_drain(&server.sessions, RELEASE_DRAINING);
	set_pressure("99.00");
	pressure_look(&server, 1);
	assert_int_equal(session->release_slabs, WIRE_RELEASE_ALL);
	set_pressure("0.00");
	pressure_look(&server, 2);
	assert_int_equal(session->release_slabs, WIRE_RELEASE_ALL);
	assert_refused(session, 99);
	release_drain(&server.sessions, RELEASE_SERVING);
	assert_int_equal(session->release_slabs, 0);
}

/* The timer in the main loop does the looking. */
static void is_looked_at_by_itself(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	alloc(session, 0, 1);
	set_pressure("99.00");
	pressure_start(&server);
	while (!session->release_slabs)
		ev_run(server.loop, EVRUN_ONCE);
	pressure_stop(&server);
	assert_asked(1, WIRE_RELEASE_PRESSURE);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_drain_asks_all_for_all),
		TEST(who_comes_later_is_asked_too),
		TEST(what_was_on_its_way_is_refused),
		TEST(reads_what_the_kernel_tells),
		TEST(refuses_where_the_kernel_tells_nothing),
		TEST(shares_out_by_what_each_holds),
		TEST(asks_again_while_it_lasts),
		TEST(a_drain_comes_first),
		TEST(is_looked_at_by_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
