/* Two servers' sessions that connect links of one RDMA channel at a time, over
 * mocked verbs. */
#include "rdma_channel.h"

#include <semaphore.h>
#include <time.h>

/* Two threads connect a link each on the same channel.  The first to open a
 * domain waits in the middle of that until the second has had its chance to
 * open one as well: it is there too, or it stands at a lock that the first one
 * holds, or it is over. */
struct session {
	struct link *link;
	struct error why;
	int rc;
};

static _Thread_local bool second;
static sem_t first_is_there, second_had_its_chance;
static atomic_bool waited_in_vain;

static void await(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until); /* sem_timedwait's */
	until.tv_sec += LONG_MS / 1000;
	if (sem_timedwait(sem, &until))
		atomic_store(&waited_in_vain, true);
}

static void meet_in_alloc_pd(void)
{
	if (second) {
		sem_post(&second_had_its_chance);
		return;
	}
	sem_post(&first_is_there);
	await(&second_had_its_chance);
}

/* All calls of pthread_mutex_lock in this program are linked to this. */
int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (second) {
		if (pthread_mutex_trylock(mutex) == 0)
			return 0;
		sem_post(&second_had_its_chance);
	}
	return __real_pthread_mutex_lock(mutex);
}

static void *be_first(void *arg)
{
	struct session *s = arg;

	s->rc = connect_to_server(LONG_MS, &s->link, &s->why);
	return NULL;
}

static void *be_second(void *arg)
{
	second = true;
	be_first(arg);
	sem_post(&second_had_its_chance);
	return NULL;
}

/* Links S[0] and S[1], to servers on mock.device and on DEVICE. */
static void connect_two_at_once(struct session s[2], unsigned device)
{
	pthread_t threads[2];

	sem_init(&first_is_there, 0, 0);
	sem_init(&second_had_its_chance, 0, 0);
	atomic_store(&waited_in_vain, false);
	mock.in_alloc_pd = meet_in_alloc_pd;
	threads[0] = thread_start(be_first, &s[0]);
	await(&first_is_there);
	mock.device = device;
	threads[1] = thread_start(be_second, &s[1]);
	for (int i = 0; i < 2; i++)
		thread_end(threads[i]);
	sem_destroy(&first_is_there);
	sem_destroy(&second_had_its_chance);
	assert_false(atomic_load(&waited_in_vain));
	for (int i = 0; i < 2; i++)
		assert_int_equal(s[i].rc, 0);
}

static void sessions_that_meet_open_a_domain_once(void **state)
{
	struct session s[2];

	(void)state;
	connect_two_at_once(s, 0);
	assert_domains(1);
	assert_ptr_equal(((struct rdma_link *)s[0].link)->domain,
			 ((struct rdma_link *)s[1].link)->domain);
	for (int i = 0; i < 2; i++)
		rdma->link_close(s[i].link);
	assert_no_link_left();
}

static void sessions_that_meet_on_two_devices_open_a_domain_each(void **state)
{
	struct session s[2];

	(void)state;
	connect_two_at_once(s, 1);
	assert_domains(2);
	for (int i = 0; i < 2; i++) {
		const struct rdma_link *l = (struct rdma_link *)s[i].link;

		assert_ptr_equal(l->domain->verbs, l->id->verbs);
		rdma->link_close(s[i].link);
	}
	assert_no_link_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_channel(sessions_that_meet_open_a_domain_once),
		with_channel(
			sessions_that_meet_on_two_devices_open_a_domain_each),
	};

	return cmocka_run_group_tests_name("rdma sessions that meet", tests,
					   NULL, NULL);
}
