/* plugin/io/coroutine.c. */
#include "io/coroutine.h"
#include "support.h"
#include "transport/waker.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define N	 4u
#define SUSPENDS 100u

static struct coroutine_pool pool;
static struct waker waker;

static int setup(void **state)
{
	struct error why;

	(void)state;
	assert_int_equal(waker_create(&waker), 0);
	assert_int_equal(coroutine_pool_create(&pool, N, &waker, &why), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	coroutine_pool_destroy(&pool);
	waker_destroy(&waker);
	return 0;
}

struct job {
	unsigned suspends, done;
	double sum;
	bool ended;
};

/* Keeps a count and a sum on its stack, over each suspension. */
static void count_up(void *arg)
{
	struct job *job = arg;
	double sum = 0;

	for (unsigned i = 1; i <= job->suspends; i++) {
		sum += 1.0 / i;
		job->done = i;
		coroutine_suspend(&(struct suspension){ .until_ns = i });
	}
	job->sum = sum;
	job->ended = true;
}

static void one_that_does_not_wait_ends_at_once(void **state)
{
	struct job job = { 0 };

	(void)state;
	assert_null(coroutine_start(&pool, count_up, &job));
	assert_true(job.ended);
}

static void many_go_on_where_they_were_in_any_order(void **state)
{
	struct job jobs[N];
	struct coroutine *suspended[N];
	uint64_t seed = random_seed();
	double sum = 0;
	unsigned left = N;

	(void)state;
	for (unsigned i = 1; i <= SUSPENDS; i++)
		sum += 1.0 / i;
	for (unsigned i = 0; i < N; i++) {
		jobs[i] = (struct job){ .suspends = SUSPENDS };
		suspended[i] = coroutine_start(&pool, count_up, &jobs[i]);
		assert_non_null(suspended[i]);
	}
	assert_null(pool.free);
	while (left > 0) {
		unsigned i = random_next(&seed) % N;

		if (!suspended[i])
			continue;
		assert_int_equal(coroutine_wait(suspended[i])->until_ns,
				 jobs[i].done);
		suspended[i] = coroutine_resume(suspended[i]);
		left -= !suspended[i];
	}
	for (unsigned i = 0; i < N; i++) {
		assert_true(jobs[i].ended);
		assert_true(jobs[i].sum == sum);
	}
}

static void one_that_has_ended_runs_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10 * N; i++) {
		struct job job = { .suspends = 1 };
		struct coroutine *c = coroutine_start(&pool, count_up, &job);

		assert_non_null(c);
		assert_null(coroutine_resume(c));
		assert_true(job.ended);
	}
}

static void look_inside(void *arg)
{
	struct waker **found = arg;

	*found = coroutine_inside() ? coroutine_waker() : NULL;
}

static void it_knows_that_it_is_one(void **state)
{
	struct waker *found = NULL;

	(void)state;
	assert_false(coroutine_inside());
	assert_null(coroutine_waker());
	assert_null(coroutine_start(&pool, look_inside, &found));
	assert_ptr_equal(found, &waker);
	assert_false(coroutine_inside());
}

static unsigned descend(unsigned n, volatile char *above)
{
	volatile char here[1024];

	here[0] = *above;
	return n ? descend(n - 1, here) + (unsigned char)here[0] : 0;
}

static void overflow(void *arg)
{
	unsigned kib = (unsigned)(coroutine_pool_bytes(&pool) / N >> 10);

	/* A little more than there is. */
	descend(kib + 1, arg);
}

/* The guard page stops one that needs too much stack, before it writes to the
 * stack of another one. */
static void a_stack_that_is_too_small_ends_the_process(void **state)
{
	pid_t child = fork();
	char top = 1;
	int status;

	(void)state;
	if (child == 0) {
		close(STDERR_FILENO);
		signal(SIGSEGV, SIG_DFL);
		coroutine_start(&pool, overflow, &top);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_does_not_wait_ends_at_once),
		cmocka_unit_test(many_go_on_where_they_were_in_any_order),
		cmocka_unit_test(one_that_has_ended_runs_again),
		cmocka_unit_test(it_knows_that_it_is_one),
		cmocka_unit_test(a_stack_that_is_too_small_ends_the_process),
	};

	return cmocka_run_group_tests_name("coroutine", tests, setup, teardown);
}
