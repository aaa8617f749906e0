/* A session's connection is closed (plugin/servers/session_call.c) outside of
 * the lock that requests wait for: that frees memory. */
#include "support.h"

#include <sys/socket.h>
#include <unistd.h>

#include "servers/session.h"

static struct server server;
static unsigned closed;

/* Linked in the place of stream_close. */
void __real_stream_close(struct stream *stream);
void __wrap_stream_close(struct stream *stream);
void __wrap_stream_close(struct stream *stream)
{
	assert_int_equal(pthread_mutex_trylock(&server.lock), 0);
	pthread_mutex_unlock(&server.lock);
	__real_stream_close(stream);
	closed++;
}

static void a_connection_is_closed_outside_of_the_lock(void **state)
{
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pthread_mutex_init(&server.lock, NULL);
	server.locked.control = stream_plain(ends[0]);
	session_close(&server);
	assert_int_equal(closed, 1);
	assert_int_equal(server.locked.control.fd, -1);
	assert_int_equal(read(ends[1], &byte, 1), 0); /* the other end's end */
	close(ends[1]);
	pthread_mutex_destroy(&server.lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_closed_outside_of_the_lock),
	};

	return cmocka_run_group_tests_name("closing a session", tests, NULL,
					   NULL);
}
