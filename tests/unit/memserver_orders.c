/* memserver/server/orders.c: which orders are obeyed, and how often.  The main
 * loop and the drain are stand-ins. */
#include <errno.h>
#include <stdio.h>

#include "config.h"
#include "log.h"
#include "server/drain.h"
#include "server/orders.h"
#include "support.h"

#define KEY	"/rswap/1/blue/orders/10.0.0.1:10909"
#define MINE	"0700000000000000000000000000000a"
#define ANOTHER "0700000000000000000000000000000b"

static struct config config;
static struct server server;
static struct ask ask;
static struct orders orders;

static unsigned drains, ends;
static char asked[128];
static bool is_leaving, is_stopping;
static char lines[1024];

bool __wrap_ask_main_loop(struct ask *a, ask_fill *fill, FILE *out);
bool __wrap_ask_main_loop(struct ask *a, ask_fill *fill, FILE *out)
{
	assert_null(out);
	if (!is_stopping)
		fill(a->server, out);
	return !is_stopping;
}

void __wrap_drain_begin(struct server *s, const char *by);
void __wrap_drain_begin(struct server *s, const char *by)
{
	assert_ptr_equal(s, &server);
	snprintf(asked, sizeof asked, "%s", by);
	drains++;
}

bool __wrap_drain_end(struct server *s, const char *by);
bool __wrap_drain_end(struct server *s, const char *by)
{
	assert_ptr_equal(s, &server);
	snprintf(asked, sizeof asked, "%s", by);
	ends++;
	return !is_leaving;
}

static void keep_line(enum log_level level, const char *line)
{
	size_t n = strlen(lines);

	(void)level;
	snprintf(lines + n, sizeof lines - n, "%s\n", line);
}

static uint64_t lease; /* of the next order */

static int begin(void **state)
{
	(void)state;
	config = (struct config){ .pool.name = "blue" };
	server = (struct server){ .config = &config,
				  .incarnation = { 7, [15] = 10 } };
	ask = (struct ask){ .server = &server };
	orders_open(&orders, &ask, NULL, "10.0.0.1:10909");
	drains = ends = 0;
	lease = 100;
	is_leaving = is_stopping = false;
	lines[0] = '\0';
	log_to(keep_line);
	return 0;
}

static void tell(const char *key, const char *value, uint64_t revision)
{
	const struct etcd_kv kv = { .key = (char *)key,
				    .value = (char *)value,
				    .mod_revision = revision,
				    .lease = lease,
				    .deleted = !value };

	orders.view.ops->changed(&orders, &kv);
}

static void order(const char *word, const char *incarnation, uint64_t revision)
{
	char value[128];

	snprintf(value, sizeof value,
		 "{\"order\":\"%s\",\"incarnation\":\"%s\"}", word,
		 incarnation);
	tell(KEY, value, revision);
}

static void drain_and_serve(void **state)
{
	(void)state;
	assert_string_equal(orders.view.prefix, KEY);
	order("drain", MINE, 3);
	assert_int_equal(drains, 1);
	assert_string_equal(asked, "by an order in pool blue");
	order("serve", MINE, 4);
	assert_int_equal(ends, 1);
	order("drain", MINE, 5);
	assert_int_equal(drains, 2);
	assert_string_equal(lines, "");
}

/* etcd tells of it again with each list, when it may have been taken back on
 * the server's machine. */
static void an_order_is_obeyed_once(void **state)
{
	(void)state;
	order("drain", MINE, 3);
	order("drain", MINE, 3);
	assert_int_equal(drains, 1);
	/* a store from a backup */
	order("drain", MINE, 2);
	assert_int_equal(drains, 2);
	/* an empty store, in which another one has come to that revision */
	lease++;
	order("drain", MINE, 2);
	assert_int_equal(drains, 3);
}

static void other_keys_do_not_count(void **state)
{
	(void)state;
	tell(KEY "0", "{\"order\":\"drain\",\"incarnation\":\"" MINE "\"}", 3);
	tell(KEY, NULL, 4);
	assert_int_equal(drains, 0);
	assert_string_equal(lines, "");
}

static void another_server_obeys_that(void **state)
{
	(void)state;
	order("drain", ANOTHER, 3);
	order("drain", ANOTHER, 3);
	assert_int_equal(drains, 0);
	assert_string_equal(lines, "pool blue: the order " KEY
				   " is skipped: it is for another server at "
				   "this address\n");
}

static void what_is_wrong_is_told_once(void **state)
{
	(void)state;
	tell(KEY, "drain", 3);
	tell(KEY, "drain", 3);
	assert_string_equal(lines, "pool blue: the order " KEY
				   " is skipped: its value is no JSON "
				   "object\n");
	order("drain", MINE, 4);
	assert_int_equal(drains, 1);
}

static void who_leaves_does_not_serve_again(void **state)
{
	(void)state;
	is_leaving = true;
	order("serve", MINE, 3);
	assert_int_equal(ends, 1);
	assert_contains(lines, "the order to serve is refused");
}

static void what_was_not_carried_out_is_left_to_do(void **state)
{
	(void)state;
	is_stopping = true;
	order("drain", MINE, 3);
	is_stopping = false;
	order("drain", MINE, 3);
	assert_int_equal(drains, 1);
}

/* --- etcd does not tell --- */

static int view_rc;
static bool is_current;

int __wrap_etcd_view_step(struct etcd_view *view, uint64_t deadline_ns,
			  struct error *why);
int __wrap_etcd_view_step(struct etcd_view *view, uint64_t deadline_ns,
			  struct error *why)
{
	(void)view, (void)deadline_ns;
	error_set(why, "bad luck");
	return view_rc;
}

bool __wrap_etcd_view_is_current(const struct etcd_view *view);
bool __wrap_etcd_view_is_current(const struct etcd_view *view)
{
	(void)view;
	return is_current;
}

static void step(int rc, bool all_is_well)
{
	view_rc = rc;
	is_current = all_is_well;
	assert_false(orders_step(&orders));
}

/* When, is the test of memserver_reserved.c. */
static void that_they_cannot_be_read_is_told_once(void **state)
{
	const char line[] = "pool blue: orders cannot be read: bad luck\n";

	(void)state;
	step(-EPROTO, false);
	assert_string_equal(lines, "");
	step(-EMSGSIZE, false);
	step(0, false);
	step(-EMSGSIZE, false);
	assert_string_equal(lines, line);
	step(0, true);
	step(-EACCES, false);
	assert_string_equal(lines + strlen(line), line);
}

#define test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(drain_and_serve),
		test(an_order_is_obeyed_once),
		test(other_keys_do_not_count),
		test(another_server_obeys_that),
		test(what_is_wrong_is_told_once),
		test(who_leaves_does_not_serve_again),
		test(what_was_not_carried_out_is_left_to_do),
		test(that_they_cannot_be_read_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
