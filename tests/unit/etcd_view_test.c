/* pool/etcd/view.c: when it lists, watches and rests.  A real etcd can be made
 * to cancel a watch, or to be silent for minutes, in no test that is short: so
 * its answers are made here. */
#include <errno.h>
#include <stdlib.h>

#include "etcd/view.h"
#include "etcd/watch.h"
#include "etcd_client.h"
#include "support.h"

#define DRAWS	 256
#define LIST_NS	 (300 * NS_PER_S)
#define QUIET_NS (75 * NS_PER_S)

static struct etcd_view view;

/* --- an etcd --- */

static unsigned lists, watches;
/* What the watch tells next, once; or how it ends. */
static struct etcd_answer next;
static bool has_next;
static int end_rc;

int __wrap_etcd_range(struct etcd *e, const char *prefix, uint64_t deadline_ns,
		      etcd_take *take, void *arg, uint64_t *revision,
		      struct error *why);
int __wrap_etcd_range(struct etcd *e, const char *prefix, uint64_t deadline_ns,
		      etcd_take *take, void *arg, uint64_t *revision,
		      struct error *why)
{
	(void)e, (void)prefix, (void)deadline_ns;
	(void)take, (void)arg, (void)why;
	lists++;
	*revision = 7;
	return 0;
}

int __wrap_etcd_watch(struct etcd *e, unsigned which, const char *prefix,
		      uint64_t revision, uint64_t deadline_ns,
		      struct error *why);
int __wrap_etcd_watch(struct etcd *e, unsigned which, const char *prefix,
		      uint64_t revision, uint64_t deadline_ns,
		      struct error *why)
{
	(void)e, (void)which, (void)prefix;
	(void)revision, (void)deadline_ns, (void)why;
	watches++;
	return 0;
}

int __wrap_etcd_watch_next(struct etcd *e, unsigned which,
			   struct etcd_answer *answer, struct error *why);
int __wrap_etcd_watch_next(struct etcd *e, unsigned which,
			   struct etcd_answer *answer, struct error *why)
{
	bool told = has_next;

	(void)e, (void)which;
	has_next = false;
	*answer = told ? next : (struct etcd_answer){ 0 };
	if (end_rc)
		error_set(why, "it has ended");
	return end_rc ? end_rc : told;
}

void __wrap_etcd_unwatch(struct etcd *e, unsigned which);
void __wrap_etcd_unwatch(struct etcd *e, unsigned which)
{
	(void)e, (void)which;
}

/* --- the view --- */

static void begin_list(void *arg)
{
	(void)arg;
}

static void changed(void *arg, const struct etcd_kv *kv)
{
	(void)arg, (void)kv;
}

static const struct etcd_view_ops ops = { begin_list, begin_list, changed };

static int begin(void **state)
{
	(void)state;
	lists = watches = 0;
	has_next = false;
	end_rc = 0;
	view = (struct etcd_view){
		.etcd = etcd, .prefix = "/a/", .ops = &ops, .quiet_ns = QUIET_NS
	};
	return 0;
}

static int step(void)
{
	struct error why = { "" };
	int rc = etcd_view_step(&view, clock_now_ns(), &why);

	assert_true(!rc || *why.text);
	return rc;
}

/* The watch tells ANSWER. */
static int hear(struct etcd_answer answer)
{
	next = answer;
	has_next = true;
	return step();
}

/* --- what is drawn --- */

struct range {
	uint64_t least_ns, most_ns;
};

static void add(struct range *range, uint64_t ns)
{
	if (!range->most_ns || ns < range->least_ns)
		range->least_ns = ns;
	if (ns > range->most_ns)
		range->most_ns = ns;
}

/* All of FROM_NS to TO_NS are drawn.  Of 256 draws none is in the last quarter,
 * or in the first one, by a chance of 10^-31. */
static void assert_range(struct range range, uint64_t from_ns, uint64_t to_ns)
{
	uint64_t quarter_ns = (to_ns - from_ns) / 4;

	assert_in_range(range.least_ns, from_ns, from_ns + quarter_ns);
	assert_in_range(range.most_ns, to_ns - quarter_ns, to_ns);
}

/* The view's times are at AFTER_NS or a moment later. */
static uint64_t since(uint64_t at_ns, uint64_t after_ns)
{
	assert_true(at_ns >= after_ns);
	return at_ns - after_ns;
}

static void lists_are_spread(void **state)
{
	struct range list = { 0 }, quiet = { 0 };

	(void)state;
	for (int i = 0; i < DRAWS; i++) {
		uint64_t now_ns = clock_now_ns();

		view.listed = false;
		assert_int_equal(step(), 0);
		add(&list, since(view.list_at_ns, now_ns));
		add(&quiet, since(view.quiet_at_ns, now_ns));
	}
	assert_int_equal(lists, DRAWS);
	/* the moments since now_ns are less than the second */
	assert_range(list, LIST_NS, LIST_NS + LIST_NS / 4 + NS_PER_S);
	assert_range(quiet, QUIET_NS, QUIET_NS + QUIET_NS / 2 + NS_PER_S);
}

/* All clients hear of a key at the same time. */
static void silence_is_spread_after_a_word(void **state)
{
	struct range quiet = { 0 };

	(void)state;
	assert_int_equal(step(), 0);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t now_ns = clock_now_ns();

		assert_int_equal(hear((struct etcd_answer){ .created = true,
							    .revision = 7 }),
				 0);
		add(&quiet, since(view.quiet_at_ns, now_ns));
	}
	assert_int_equal(lists, 1);
	assert_int_equal(watches, 1);
	assert_range(quiet, QUIET_NS, QUIET_NS + QUIET_NS / 2 + NS_PER_S);
	/* where no change is sure to come, silence tells nothing */
	view.quiet_ns = 0;
	assert_int_equal(hear((struct etcd_answer){ .revision = 7 }), 0);
	assert_true(view.quiet_at_ns == UINT64_MAX);
}

static void assert_lists_after_a_rest(struct etcd_answer answer)
{
	unsigned before = lists;

	assert_int_equal(hear(answer), -EAGAIN);
	assert_int_equal(lists, before);
	assert_false(etcd_view_is_current(&view));
	/* the same while it rests */
	assert_int_equal(step(), -EAGAIN);
	assert_int_equal(lists, before);
	view.again_ns = 0;
	assert_int_equal(step(), 0);
	assert_int_equal(lists, before + 1);
}

/* Two stores behind one address would otherwise have the view list and watch in
 * turn, as fast as they answer. */
static void a_list_that_is_void_is_told(void **state)
{
	const struct etcd_answer usual = { .cluster = 3, .revision = 7 };
	struct etcd_answer canceled = usual, compacted = usual, older = usual,
			   other = usual;

	(void)state;
	canceled.canceled = true;
	compacted.compact_revision = 5;
	older.revision = 6;
	other.cluster = 4;
	assert_int_equal(step(), 0);
	assert_int_equal(hear(usual), 0);
	assert_lists_after_a_rest(canceled);
	assert_lists_after_a_rest(compacted);
	assert_lists_after_a_rest(older);
	assert_int_equal(hear(usual), 0);
	assert_lists_after_a_rest(other);
}

/* --- rests --- */

#define REST_NS	     (250 * NS_PER_MS)
#define MOST_REST_NS (6 * NS_PER_S)

/* How long the view rests, which is over then. */
static uint64_t rest(void)
{
	uint64_t ns = clock_left_ns(view.again_ns);

	assert_int_equal(step(), view.rc);
	view.again_ns = 0;
	return ns;
}

/* Of 250 ms, doubled so often: half as much more or less, but for the moments
 * that have passed. */
static void assert_rests(unsigned doubled)
{
	uint64_t ns = MOST_REST_NS;

	if (doubled < 5 && REST_NS << doubled < ns)
		ns = REST_NS << doubled;
	assert_in_range(rest(), ns / 4, ns + ns / 2);
}

static const struct etcd_answer created = { .created = true, .revision = 8 };
static const struct etcd_answer canceled = { .canceled = true, .revision = 7 };

/* The list, and the beginning of the watch, succeed each time. */
static void canceled_watches_rest_longer_each_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(step(), 0);
		assert_int_equal(hear(created), 0);
		assert_int_equal(hear(canceled), -EAGAIN);
		assert_rests(i);
	}
	assert_int_equal(lists, 20);
	assert_int_equal(watches, 20);
}

static void fail_thrice(void)
{
	for (unsigned i = 0; i < 3; i++) {
		if (!view.listed)
			assert_int_equal(step(), 0);
		assert_int_equal(hear(created), 0);
		end_rc = -EIO;
		assert_int_equal(step(), -EIO);
		end_rc = 0;
		assert_rests(i);
	}
	assert_int_equal(step(), 0);
	assert_int_equal(view.failures, 3);
}

static void only_a_watch_that_works_is_a_success(void **state)
{
	struct etcd_kv kv = { .key = strdup("/a/1"), .mod_revision = 8 };
	struct etcd_answer event = { .revision = 8, .n = 1 };

	(void)state;
	event.kvs = malloc(sizeof kv);
	assert_non_null(event.kvs);
	*event.kvs = kv;
	fail_thrice();
	assert_int_equal(hear(event), 0);
	assert_int_equal(view.failures, 0);
	/* or one that lives */
	fail_thrice();
	assert_int_equal(hear(created), 0);
	assert_int_equal(step(), 0);
	assert_int_equal(view.failures, 3);
	assert_in_range(clock_left_ns(view.lived_at_ns), 8 * NS_PER_S,
			10 * NS_PER_S);
	view.lived_at_ns = clock_now_ns();
	assert_int_equal(step(), 0);
	assert_int_equal(view.failures, 0);
	/* who says that all begins anew need not wait */
	fail_thrice();
	etcd_view_close(&view);
	assert_int_equal(view.failures, 0);
}

/* From the same revision on it would tell the same. */
static void a_watch_that_tells_too_much_lists_anew(void **state)
{
	(void)state;
	assert_int_equal(step(), 0);
	end_rc = -EMSGSIZE;
	assert_int_equal(step(), -EMSGSIZE);
	end_rc = 0;
	view.again_ns = 0;
	assert_int_equal(step(), 0);
	assert_int_equal(lists, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lists_are_spread, begin),
		cmocka_unit_test_setup(silence_is_spread_after_a_word, begin),
		cmocka_unit_test_setup(a_list_that_is_void_is_told, begin),
		cmocka_unit_test_setup(canceled_watches_rest_longer_each_time,
				       begin),
		cmocka_unit_test_setup(only_a_watch_that_works_is_a_success,
				       begin),
		cmocka_unit_test_setup(a_watch_that_tells_too_much_lists_anew,
				       begin),
	};

	return cmocka_run_group_tests(tests, etcd_client_open,
				      etcd_client_close);
}
