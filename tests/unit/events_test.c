/* The ring of events: its bounds, and what joins. */
#include "events.h"
#include "support.h"

#include <stdlib.h>

static char text[EVENTS_BYTES];

/* What events_write writes. */
static const char *written(void)
{
	FILE *out = fmemopen(text, sizeof text, "w");

	assert_non_null(out);
	events_write(out);
	assert_true(ftell(out) < (long)sizeof text - 1);
	assert_int_equal(fclose(out), 0);
	return text;
}

static unsigned count(const char *what)
{
	const char *at = written();
	unsigned n = 0;

	while ((at = strstr(at, what))) {
		at++;
		n++;
	}
	return n;
}

static void nothing_happened_yet(void **state)
{
	(void)state;
	assert_string_equal(written(), "{\"events\":[],\"forgotten\":0}\n");
}

static void an_event_is_told(void **state)
{
	(void)state;
	events_add(EVENT_SERVER_LOST, "10.0.0.1:10909", "%d pages \"gone\"", 7);
	assert_contains(written(), "\"event\":\"server_lost\"");
	assert_contains(text, "\"subject\":\"10.0.0.1:10909\"");
	assert_contains(text, "\"text\":\"7 pages \\\"gone\\\"\"");
	assert_contains(text, "\"times\":1");
	assert_int_equal(count("\"time\":\"20"), 1);
}

/* Two servers that come and go all the time take a few places. */
static void events_that_repeat_join(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * EVENTS_MAX; i++) {
		events_add(EVENT_SERVER_RECOVERING, "a", "turn %d", i);
		events_add(EVENT_SERVER_RECOVERING, "b", "turn %d", i);
		events_add(EVENT_SERVER_UP, "a", "turn %d", i);
		events_add(EVENT_SERVER_UP, "b", "turn %d", i);
	}
	assert_int_equal(count("server_recovering"), 2);
	assert_int_equal(count("\"times\":512"), 4);
	assert_int_equal(count("turn 511"), 4);
	assert_int_equal(count("server_lost"), 1); /* it was before them */
	assert_contains(text, "\"forgotten\":0");
}

static void the_oldest_are_forgotten(void **state)
{
	char subject[16], last[48];

	(void)state;
	for (int i = 0; i < 3 * EVENTS_MAX; i++) {
		snprintf(subject, sizeof subject, "server-%d", i);
		events_add(EVENT_SERVER_UP, subject, "x");
	}
	assert_int_equal(count("\"event\":"), EVENTS_MAX);
	snprintf(last, sizeof last, "\"subject\":\"server-%d\"",
		 3 * EVENTS_MAX - 1);
	assert_contains(text, last);
	assert_null(strstr(text, "server_lost"));
	/* with the five of the tests before */
	snprintf(last, sizeof last, "\"forgotten\":%d}", 2 * EVENTS_MAX + 5);
	assert_contains(text, last);
}

/* The longest texts, and characters that take the most room in JSON. */
static void all_of_them_fit_an_answer(void **state)
{
	char subject[280], line[256];

	(void)state;
	memset(line, '"', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	for (int i = 0; i < EVENTS_MAX; i++) {
		snprintf(subject, sizeof subject, "%d%s", i, line);
		events_add(EVENT_SESSION_DISCONNECTED, subject, "%s", line);
	}
	assert_int_equal(count("\"event\":"), EVENTS_MAX);
}

static void *add_many(void *arg)
{
	for (int i = 0; i < 5000; i++)
		events_add(EVENT_SESSION_OPENED, arg, "%d", i);
	return NULL;
}

static void threads_may_add_and_read(void **state)
{
	static const char *const names[] = { "one", "two", "three" };
	pthread_t threads[COUNT(names)];

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		threads[i] =
			thread_start(add_many, (void *)(uintptr_t)names[i]);
	for (int i = 0; i < 50; i++)
		written();
	for (size_t i = 0; i < COUNT(names); i++)
		thread_end(threads[i]);
	assert_int_equal(count("\"times\":5000"), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* in this order: there is one ring */
		cmocka_unit_test(nothing_happened_yet),
		cmocka_unit_test(an_event_is_told),
		cmocka_unit_test(events_that_repeat_join),
		cmocka_unit_test(the_oldest_are_forgotten),
		cmocka_unit_test(all_of_them_fit_an_answer),
		cmocka_unit_test(threads_may_add_and_read),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
