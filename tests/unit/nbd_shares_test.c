/* What a client of rswap-nbd leaves for others (plugin/nbd/slots.c), and when
 * it is closed for their sake (plugin/nbd/connection.c).  Whatever is to be
 * mapped, the loop goes on (plugin/nbd/mapper.c). */
#include "nbd_clients.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- no client takes all --- */

static void one_client_has_all(void **state)
{
	int fd = nbd_open_client();

	(void)state;
	nbd_request(fd, NBD_CMD_READ, PAGE, SLOTS);
	assert_int_equal(nbd.loop.n_requests, SLOTS);
	nbd_answer_all();
	assert_int_equal(nbd_drain(fd), SLOTS * (NBD_SIMPLE_BYTES + PAGE));
	nbd_close_client(fd);
}

static void
a_medium_request_takes_a_large_buffer_where_no_other_is_left(void **state)
{
	int fd = nbd_open_client();
	uint32_t n;

	(void)state;
	n = nbd.slots.total[SLOTS_MEDIUM] + nbd.slots.total[SLOTS_LARGE];
	nbd_request(fd, NBD_CMD_READ, MEDIUM, n + 1);
	assert_int_equal(nbd.loop.n_requests, n);
	assert_int_equal(nbd.slots.n_free[SLOTS_MEDIUM], 0);
	assert_int_equal(nbd.slots.n_free[SLOTS_LARGE], 0);
	nbd_answer_all();
	assert_int_equal(nbd_drain(fd), n * (NBD_SIMPLE_BYTES + MEDIUM));
	nbd_answer_all();
	assert_int_equal(nbd_drain(fd), NBD_SIMPLE_BYTES + MEDIUM);
	assert_int_equal(nbd.slots.n_free[SLOTS_MEDIUM],
			 nbd.slots.total[SLOTS_MEDIUM]);
	assert_int_equal(nbd.slots.n_free[SLOTS_LARGE],
			 nbd.slots.total[SLOTS_LARGE]);
	nbd_close_client(fd);
}

static void medium_requests_leave_medium_buffers_for_others(void **state)
{
	int kernel = nbd_open_client(), tool = nbd_open_client();

	(void)state;
	nbd_request(tool, NBD_CMD_READ, MEDIUM, SLOTS);
	nbd_answer_all();
	assert_true(nbd_is_served(kernel, MEDIUM));
	nbd_close_client(tool);
	nbd_close_client(kernel);
}

static void unread_replies_leave_slots_for_others(void **state)
{
	int kernel = nbd_open_client(), tool = nbd_open_client();

	(void)state;
	nbd_request(tool, NBD_CMD_READ, HUGE, SLOTS);
	nbd_answer_all();
	assert_true(nbd_is_served(kernel, PAGE));
	assert_true(nbd_is_served(kernel, LARGE));
	nbd_request(kernel, NBD_CMD_READ, PAGE, SLOTS / 4);
	assert_int_equal(nbd.loop.n_requests, SLOTS / 4);
	nbd_answer_all();
	assert_int_equal(nbd_drain(kernel),
			 SLOTS / 4 * (NBD_SIMPLE_BYTES + PAGE));
	nbd_close_client(tool);
	nbd_close_client(kernel);
}

static void unread_replies_leave_large_buffers_for_others(void **state)
{
	int kernel[2] = { nbd_open_client(), nbd_open_client() };
	int tool = nbd_open_client();

	(void)state;
	nbd_request(tool, NBD_CMD_READ, LARGE, SLOTS);
	nbd_answer_all();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(nbd_is_served(kernel[i], LARGE));
		assert_true(nbd_is_served(kernel[i], PAGE));
	}
	nbd_close_client(tool);
	nbd_close_client(kernel[0]);
	nbd_close_client(kernel[1]);
}

/* The first client has all nbd.slots.  Those that it gives back go to the
 * second one, up to its part. */
static void a_client_that_comes_late_gets_its_part(void **state)
{
	int tool = nbd_open_client(), kernel;

	(void)state;
	nbd_request(tool, NBD_CMD_READ, PAGE, 2 * SLOTS);
	kernel = nbd_open_client();
	nbd_request(kernel, NBD_CMD_READ, PAGE, SLOTS);
	assert_int_equal(nbd.loop.n_requests, SLOTS);
	nbd_answer_all();
	nbd_drain(tool);
	nbd_drain(kernel);
	assert_int_equal(nbd.loop.n_requests, SLOTS);
	assert_true(nbd.slots.clients->has[SLOTS_ANY] >= SLOTS / 4);
	nbd_answer_all();
	nbd_drain(tool);
	nbd_drain(kernel);
	nbd_answer_all();
	nbd_drain(tool);
	nbd_drain(kernel);
	nbd_close_client(tool);
	nbd_close_client(kernel);
}

/* What was kept for a client is free when the client goes. */
static void the_part_of_a_client_that_goes_is_free(void **state)
{
	int fd = nbd_open_client(), idle = nbd_open_client();

	(void)state;
	nbd_request(fd, NBD_CMD_READ, PAGE, SLOTS);
	assert_true(nbd.loop.n_requests < SLOTS);
	nbd_close_client(idle);
	assert_int_equal(nbd.loop.n_requests, SLOTS);
	nbd_answer_all();
	assert_int_equal(nbd_drain(fd), SLOTS * (NBD_SIMPLE_BYTES + PAGE));
	nbd_close_client(fd);
}

/* --- a client that does not go on --- */

static void one_that_reads_nothing_is_closed(void **state)
{
	int tool = nbd_open_client(), kernel;

	(void)state;
	nbd_request(tool, NBD_CMD_READ, HUGE, SLOTS);
	nbd_answer_all();
	nbd_pass(60);
	assert_false(nbd_is_closed(tool));
	kernel = nbd_open_client();
	nbd_request(kernel, NBD_CMD_READ, PAGE, 1);
	nbd_pass(1);
	assert_true(nbd_is_closed(tool));
	assert_contains(nbd.last_line, "it has read no reply for 10 seconds");
	nbd_answer_all();
	assert_int_equal(nbd_drain(kernel), NBD_SIMPLE_BYTES + PAGE);
	nbd_close_client(kernel);
	close(tool);
}

static void one_that_reads_slowly_is_not_closed(void **state)
{
	int tool = nbd_open_client(), other = nbd_open_client();
	static char reply[NBD_SIMPLE_BYTES + HUGE];

	(void)state;
	nbd_request(tool, NBD_CMD_READ, HUGE, SLOTS / 2);
	nbd_request(tool, NBD_CMD_READ, NBD_REQUEST_MAX / 2, 1);
	nbd_answer_all();
	nbd_request(other, NBD_CMD_READ, NBD_REQUEST_MAX, 1);
	for (unsigned i = 0; i < 3; i++) {
		nbd_pass(9);
		assert_true(
			slots_others_wait(&nbd.slots, nbd.slots.clients->next));
		for (size_t got = 0; got < sizeof reply; nbd_settle()) {
			ssize_t n = recv(tool, reply, sizeof reply - got, 0);

			assert_true(n > 0);
			got += (size_t)n;
		}
		assert_false(nbd_is_closed(tool));
	}
	nbd_close_client(tool);
	nbd_answer_all();
	nbd_drain(other);
	nbd_close_client(other);
}

static void one_that_sends_half_a_write_is_closed(void **state)
{
	int tools[2] = { nbd_open_client(), nbd_open_client() },
	    other = nbd_open_client();

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nbd_request(tools[i], NBD_CMD_WRITE, NBD_REQUEST_MAX, 1);
	nbd_pass(60);
	nbd_request(other, NBD_CMD_READ, HUGE, 1);
	nbd_pass(1);
	/* One of them is enough. */
	assert_true(nbd_is_closed(tools[0]) != nbd_is_closed(tools[1]));
	assert_contains(nbd.last_line, "it has sent no more of a request");
	nbd_answer_all();
	assert_int_equal(nbd_drain(other), NBD_SIMPLE_BYTES + HUGE);
	nbd_close_client(other);
	nbd_close_client(tools[0]);
	nbd_close_client(tools[1]);
}

static void one_that_sends_slowly_is_not_closed(void **state)
{
	int tools[2] = { nbd_open_client(), nbd_open_client() },
	    other = nbd_open_client();
	static const char data[PAGE];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nbd_request(tools[i], NBD_CMD_WRITE, NBD_REQUEST_MAX, 1);
	nbd_request(other, NBD_CMD_READ, HUGE, 1);
	for (unsigned i = 0; i < 3; i++) {
		nbd_pass(9);
		for (unsigned j = 0; j < 2; j++)
			nbd_send_all(tools[j], data, sizeof data);
	}
	assert_string_equal(nbd.last_line, "");
	nbd_close_client(tools[0]);
	nbd_close_client(tools[1]);
	nbd_answer_all();
	nbd_drain(other);
	nbd_close_client(other);
}

/* The servers do not answer, which is not the fault of the other client. */
static void one_with_requests_in_flight_does_not_wait(void **state)
{
	int tool = nbd_open_client(), kernel = nbd_open_client();

	(void)state;
	nbd_request(tool, NBD_CMD_READ, PAGE, SLOTS);
	nbd_answer_all();
	nbd_request(kernel, NBD_CMD_READ, PAGE, 2 * SLOTS);
	assert_true(nbd.loop.n_requests < 2 * SLOTS);
	nbd_pass(60);
	assert_string_equal(nbd.last_line, "");
	nbd_close_client(tool);
	nbd_close_client(kernel);
}

/* They wait for each other only because none of them reads. */
static void stopped_clients_do_not_close_each_other(void **state)
{
	int tools[2] = { nbd_open_client(), nbd_open_client() };

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nbd_request(tools[i], NBD_CMD_READ, HUGE, SLOTS);
	nbd_answer_all();
	nbd_pass(60);
	for (unsigned i = 0; i < 2; i++) {
		assert_false(nbd_is_closed(tools[i]));
		nbd_close_client(tools[i]);
	}
}

/* This process was stopped as well, and has not looked at its clients. */
static void the_time_that_the_server_was_stopped_does_not_count(void **state)
{
	int tools[2] = { nbd_open_client(), nbd_open_client() },
	    other = nbd_open_client();
	static const char data[PAGE];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		nbd_request(tools[i], NBD_CMD_WRITE, NBD_REQUEST_MAX, 1);
	nbd_request(other, NBD_CMD_READ, HUGE, 1);
	for (unsigned i = 0; i < 10; i++) {
		nbd.later_ns += 60 * NS_PER_S;
		loop_soon(&nbd.loop);
		nbd_settle();
		for (unsigned j = 0; j < 2; j++)
			nbd_send_all(tools[j], data, sizeof data);
	}
	assert_string_equal(nbd.last_line, "");
	nbd_close_client(tools[0]);
	nbd_close_client(tools[1]);
	nbd_answer_all();
	assert_int_equal(nbd_drain(other), NBD_SIMPLE_BYTES + HUGE);
	nbd_close_client(other);
}

/* --- memory --- */

static pthread_t loop_thread;
static bool serves; /* after setup */
/* Of the mapper's thread, also. */
static atomic_bool no_memory, hangs;
/* Of buffers. */
static _Atomic uint64_t mapped_bytes, most_bytes;

void *__real_mmap(void *p, size_t bytes, int prot, int flags, int fd, off_t at);
void *__wrap_mmap(void *p, size_t bytes, int prot, int flags, int fd, off_t at);
int __real_munmap(void *p, size_t bytes);
int __wrap_munmap(void *p, size_t bytes);

static bool is_loop(size_t bytes)
{
	if (!pthread_equal(pthread_self(), loop_thread))
		return false;
	if (serves && bytes > LARGE)
		fail_msg("the loop waits for memory");
	return true;
}

static void count_mapped(size_t bytes)
{
	if (bytes > LARGE)
		mapped_bytes += bytes;
	if (mapped_bytes > most_bytes)
		most_bytes = mapped_bytes;
}

void *__wrap_mmap(void *p, size_t bytes, int prot, int flags, int fd, off_t at)
{
	if (is_loop(bytes))
		return __real_mmap(p, bytes, prot, flags, fd, at);
	while (atomic_load(&hangs))
		sleep_ms(1);
	if (atomic_load(&no_memory)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	count_mapped(bytes);
	return __real_mmap(p, bytes, prot, flags, fd, at);
}

int __wrap_munmap(void *p, size_t bytes)
{
	if (!is_loop(bytes) && bytes > LARGE)
		mapped_bytes -= bytes;
	return __real_munmap(p, bytes);
}

static int setup(void **state)
{
	int rc;

	loop_thread = pthread_self();
	no_memory = hangs = false;
	mapped_bytes = most_bytes = 0;
	rc = nbd_setup(state);
	serves = true;
	return rc;
}

/* Nothing stays mapped. */
static int teardown(void **state)
{
	int rc;

	serves = false;
	rc = nbd_teardown(state);
	assert_int_equal(mapped_bytes, 0);
	return rc;
}

/* From now on nothing is mapped until memory_comes. */
static void memory_is_short(void)
{
	hangs = nbd.mapper_hangs = true;
}

static void memory_comes(void)
{
	hangs = nbd.mapper_hangs = false;
	nbd_settle();
}

static void only_a_large_request_waits_for_memory(void **state)
{
	int kernel = nbd_open_client(), tool = nbd_open_client();

	(void)state;
	memory_is_short();
	nbd_request(tool, NBD_CMD_READ, HUGE, 1);
	assert_int_equal(nbd.loop.n_requests, 0);
	assert_true(nbd_is_served(kernel, PAGE));
	assert_true(nbd_is_served(kernel, LARGE));
	memory_comes();
	assert_int_equal(nbd.loop.n_requests, 1);
	nbd_answer_all();
	assert_int_equal(nbd_drain(tool), NBD_SIMPLE_BYTES + HUGE);
	nbd_close_client(tool);
	nbd_close_client(kernel);
}

static void a_new_client_waits_for_memory(void **state)
{
	struct listener listener;
	int kernel = nbd_open_client(), fd = nbd_listen(&listener);
	uint32_t n_sources = nbd.loop.n_sources;

	(void)state;
	memory_is_short();
	nbd_settle();
	assert_true(nbd_is_served(kernel, PAGE));
	assert_int_equal(nbd.loop.n_sources, n_sources);
	memory_comes();
	assert_int_equal(nbd.loop.n_sources, n_sources + 1);
	nbd_close_client(fd);
	nbd_unlisten(&listener);
	nbd_close_client(kernel);
}

/* The log says why, and the client is served when there is some. */
static void a_new_client_without_memory_in_time_waits_on(void **state)
{
	struct listener listener;
	int fd = nbd_listen(&listener);
	uint32_t n_sources = nbd.loop.n_sources;

	(void)state;
	memory_is_short();
	nbd_settle();
	nbd_pass(9);
	assert_string_equal(nbd.last_line, "");
	nbd_pass(2);
	assert_contains(nbd.last_line, "cannot accept a client");
	memory_comes();
	nbd_pass(2);
	assert_int_equal(nbd.loop.n_sources, n_sources + 1);
	nbd_close_client(fd);
	nbd_unlisten(&listener);
}

static const struct slots_client *client_of(const struct loop_request *r)
{
	return ((const struct slot *)r)->client;
}

static void large_requests_take_turns(void **state)
{
	int tools[2] = { nbd_open_client(), nbd_open_client() };
	const struct loop_request *r;

	(void)state;
	memory_is_short();
	nbd_request(tools[0], NBD_CMD_READ, HUGE, 2);
	nbd_request(tools[1], NBD_CMD_READ, HUGE, 1);
	memory_comes();
	assert_int_equal(nbd.loop.n_requests, 3);
	r = nbd.loop.reads.first;
	assert_ptr_not_equal(client_of(r), client_of(r->next));
	assert_ptr_equal(client_of(r), client_of(r->next->next));
	for (unsigned i = 0; i < 2; i++)
		nbd_close_client(tools[i]);
}

/* One whose memory is being mapped, and one that waits behind it. */
static void one_that_goes_leaves_its_memory(void **state)
{
	int tools[2] = { nbd_open_client(), nbd_open_client() },
	    other = nbd_open_client();

	(void)state;
	memory_is_short();
	for (unsigned i = 0; i < 2; i++)
		nbd_request(tools[i], NBD_CMD_READ, NBD_REQUEST_MAX, 1);
	nbd_request(other, NBD_CMD_READ, NBD_REQUEST_MAX, 1);
	assert_true(slots_others_wait(&nbd.slots, NULL));
	for (unsigned i = 0; i < 2; i++)
		nbd_close_client(tools[i]);
	assert_int_equal(nbd.slots.n_clients, 1);
	memory_comes();
	nbd_answer_all();
	assert_int_equal(nbd_drain(other), NBD_SIMPLE_BYTES + NBD_REQUEST_MAX);
	nbd_close_client(other);
	assert_int_equal(most_bytes, NBD_REQUEST_MAX);
}

/* A buffer that was given back does not count, also where it is still to be
 * unmapped. */
static void no_more_is_mapped_than_is_allowed(void **state)
{
	int fd = nbd_open_client();

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		nbd_request(fd, NBD_CMD_READ, NBD_REQUEST_MAX, 2);
		nbd_answer_all();
		assert_int_equal(nbd_drain(fd),
				 2 * (NBD_SIMPLE_BYTES + NBD_REQUEST_MAX));
	}
	assert_int_equal(most_bytes, SLOT_HUGE_BYTES);
	nbd_close_client(fd);
}

/* That client has read nothing, and is not what the other one waits for. */
static void one_that_waits_for_memory_closes_nobody(void **state)
{
	int unread = nbd_open_client(), tool = nbd_open_client();

	(void)state;
	nbd_request(unread, NBD_CMD_READ, HUGE, 4);
	nbd_answer_all();
	nbd_pass(60);
	memory_is_short();
	nbd_request(tool, NBD_CMD_READ, HUGE, 1);
	nbd_pass(5);
	assert_string_equal(nbd.last_line, "");
	assert_false(nbd_is_closed(unread));
	nbd_close_client(tool);
	nbd_close_client(unread);
	memory_comes();
}

static void assert_refused(int fd)
{
	uint8_t reply[NBD_SIMPLE_BYTES + 1];

	assert_int_equal(recv(fd, reply, sizeof reply, MSG_DONTWAIT),
			 NBD_SIMPLE_BYTES);
	assert_int_equal(nbd_get32(reply + 4), NBD_ENOMEM);
	assert_contains(nbd.last_line, "there is no memory for its buffer");
	assert_false(slots_others_wait(&nbd.slots, NULL));
}

static void a_request_without_memory_is_refused(void **state)
{
	static const char data[HUGE];
	int fd = nbd_open_client(), other = nbd_open_client();

	(void)state;
	/* A buffer that comes back later. */
	nbd_request(other, NBD_CMD_READ, HUGE, 1);
	no_memory = true;
	nbd_request(fd, NBD_CMD_READ, HUGE, 1);
	assert_refused(fd);
	nbd_request(fd, NBD_CMD_WRITE, HUGE, 1);
	nbd_send_all(fd, data, sizeof data);
	assert_refused(fd);
	assert_true(nbd_is_served(fd, LARGE));
	no_memory = false;
	nbd_answer_all();
	nbd_drain(other);
	assert_true(nbd_is_served(fd, HUGE));
	nbd_close_client(fd);
	nbd_close_client(other);
}

/* Its next request waits anew, behind the mapping that nobody wants. */
static void a_request_without_memory_in_time_is_refused(void **state)
{
	int fd = nbd_open_client();

	(void)state;
	memory_is_short();
	nbd_request(fd, NBD_CMD_READ, HUGE, 1);
	nbd_pass(9);
	assert_int_equal(nbd_drain(fd), 0);
	nbd_pass(2);
	assert_refused(fd);
	nbd_request(fd, NBD_CMD_READ, HUGE, 1);
	nbd_pass(9);
	assert_int_equal(nbd.loop.n_requests, 0);
	memory_comes();
	nbd_answer_all();
	assert_int_equal(nbd_drain(fd), NBD_SIMPLE_BYTES + HUGE);
	nbd_close_client(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_client_has_all),
		TEST(a_medium_request_takes_a_large_buffer_where_no_other_is_left),
		TEST(medium_requests_leave_medium_buffers_for_others),
		TEST(unread_replies_leave_slots_for_others),
		TEST(unread_replies_leave_large_buffers_for_others),
		TEST(a_client_that_comes_late_gets_its_part),
		TEST(the_part_of_a_client_that_goes_is_free),
		TEST(one_that_reads_nothing_is_closed),
		TEST(one_that_reads_slowly_is_not_closed),
		TEST(one_that_sends_half_a_write_is_closed),
		TEST(one_that_sends_slowly_is_not_closed),
		TEST(one_with_requests_in_flight_does_not_wait),
		TEST(stopped_clients_do_not_close_each_other),
		TEST(the_time_that_the_server_was_stopped_does_not_count),
		TEST(only_a_large_request_waits_for_memory),
		TEST(a_new_client_waits_for_memory),
		TEST(a_new_client_without_memory_in_time_waits_on),
		TEST(large_requests_take_turns),
		TEST(one_that_goes_leaves_its_memory),
		TEST(no_more_is_mapped_than_is_allowed),
		TEST(one_that_waits_for_memory_closes_nobody),
		TEST(a_request_without_memory_is_refused),
		TEST(a_request_without_memory_in_time_is_refused),
	};

	return cmocka_run_group_tests_name("nbd_shares", tests, NULL, NULL);
}
