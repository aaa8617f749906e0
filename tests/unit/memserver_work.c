/* Work queues and mailboxes: order, and on which thread what runs. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include "loops/container.h"
#include "loops/work.h"

#define JOBS 1000

struct job {
	struct work work;
	unsigned number;
};

static struct ev_loop *loop;
static struct mailbox box;
static struct workq queue;
static pthread_t main_thread;
static unsigned ran; /* the queue's thread, then read after it ended */
static unsigned done;

static void run_job(struct work *work)
{
	struct job *job = container_of(work, struct job, work);

	assert_false(pthread_equal(pthread_self(), main_thread));
	assert_int_equal(job->number, ran);
	ran++;
}

static void job_done(struct work *work)
{
	struct job *job = container_of(work, struct job, work);

	assert_true(pthread_equal(pthread_self(), main_thread));
	assert_int_equal(job->number, done);
	if (++done == JOBS)
		ev_break(loop, EVBREAK_ALL);
}

static int setup(void **state)
{
	struct error why;

	(void)state;
	ran = done = 0;
	main_thread = pthread_self();
	loop = ev_loop_new(EVFLAG_AUTO);
	mailbox_open(&box, loop);
	return workq_start(&queue, "test", &box, &why);
}

static int teardown(void **state)
{
	(void)state;
	mailbox_close(&box);
	ev_loop_destroy(loop);
	return 0;
}

static void runs_in_order(void **state)
{
	static struct job jobs[JOBS];

	(void)state;
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].number = i;
		jobs[i].work.run = run_job;
		jobs[i].work.done = job_done;
		workq_submit(&queue, &jobs[i].work);
	}
	ev_run(loop, 0);
	workq_stop(&queue);
	assert_int_equal(done, JOBS);
}

static void stop_does_what_is_queued(void **state)
{
	static struct job jobs[JOBS];

	(void)state;
	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i].number = i;
		jobs[i].work.run = run_job;
		workq_submit(&queue, &jobs[i].work);
	}
	workq_stop(&queue);
	assert_int_equal(ran, JOBS);
	assert_int_equal(done, 0);
}

/* Holds the queue's thread up until all is submitted. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void run_gate(struct work *work)
{
	(void)work;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
}

/* A client that waits for a slab does not wait for what others give back. */
static void urgent_work_comes_first_and_in_order(void **state)
{
	static const bool urgent[] = { false, false, true, true, false, true };
	static struct work first = { .run = run_gate };
	static struct job jobs[6];
	/* 2, 3 and 5 are urgent: they run as 0, 1 and 2; then 0, 1 and 4 */
	static const unsigned turn[] = { 3, 4, 0, 1, 5, 2 };

	(void)state;
	pthread_mutex_lock(&gate);
	workq_submit(&queue, &first);
	for (unsigned i = 0; i < 6; i++) {
		jobs[i].number = turn[i];
		jobs[i].work.run = run_job;
		if (urgent[i])
			workq_submit_urgent(&queue, &jobs[i].work);
		else
			workq_submit(&queue, &jobs[i].work);
	}
	pthread_mutex_unlock(&gate);
	workq_stop(&queue);
	assert_int_equal(ran, 6);
}

static void mail_counts(struct mail *mail)
{
	(void)mail;
	done++;
}

/* Much that came at once leaves the loop's other events their turn. */
static void much_mail_is_not_one_turn(void **state)
{
	static struct mail mails[JOBS];

	(void)state;
	for (unsigned i = 0; i < JOBS; i++) {
		mails[i].deliver = mail_counts;
		mailbox_post(&box, &mails[i]);
	}
	ev_run(loop, EVRUN_NOWAIT);
	assert_in_range(done, 1, 64);
	while (done < JOBS)
		ev_run(loop, EVRUN_ONCE);
	workq_stop(&queue);
}

/* Work that waits for what is queued behind it. */
static void run_all_others(struct work *work)
{
	while (workq_do_next(work->queue))
		;
	assert_int_equal(ran, 5);
	ran++;
}

static void work_does_the_next(void **state)
{
	static struct work first = { .run = run_gate };
	static struct work waits = { .run = run_all_others };
	static struct job jobs[5];

	(void)state;
	pthread_mutex_lock(&gate);
	workq_submit(&queue, &first);
	for (unsigned i = 0; i < 5; i++) {
		jobs[i].number = i;
		jobs[i].work.run = run_job;
		jobs[i].work.done = job_done;
		workq_submit(&queue, &jobs[i].work);
	}
	workq_submit_urgent(&queue, &waits);
	pthread_mutex_unlock(&gate);
	workq_stop(&queue);
	assert_int_equal(ran, 6);
	mailbox_deliver(&box);
	assert_int_equal(done, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(stop_does_what_is_queued, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			urgent_work_comes_first_and_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(much_mail_is_not_one_turn,
						setup, teardown),
		cmocka_unit_test_setup_teardown(work_does_the_next, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
