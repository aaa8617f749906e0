#include "nbd_clients.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "nbd/connection.h"
#include "transport/memory.h"

#define LANES	  8u
#define TURNS_MAX 4000

struct nbd_clients nbd;

/* --- time --- */

static uint64_t begin_ns; /* of the test */

int __real_clock_gettime(clockid_t id, struct timespec *t);
int __wrap_clock_gettime(clockid_t id, struct timespec *t);

/* The end of the mapper's thread is waited for by the real clocks. */
int __wrap_clock_gettime(clockid_t id, struct timespec *t)
{
	if (id == CLOCK_REALTIME)
		return __real_clock_gettime(id, t);
	*t = clock_timespec(begin_ns + nbd.later_ns);
	return 0;
}

static void begin_time(void)
{
	struct timespec t;

	__real_clock_gettime(CLOCK_MONOTONIC, &t);
	begin_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
	nbd.later_ns = 0;
}

/* --- the server --- */

static bool opens(void)
{
	nbd.n_clients++;
	return true;
}

static void closed(void)
{
	nbd.n_clients--;
}

static bool is_forced(void)
{
	return false;
}

static void keep_line(enum log_level level, const char *line)
{
	(void)level;
	snprintf(nbd.last_line, sizeof nbd.last_line, "%s", line);
}

int nbd_setup(void **state)
{
	const struct loop_config config = { .engine = &nbd.engine };
	struct error why;

	(void)state;
	log_to(keep_line);
	nbd.last_line[0] = '\0';
	begin_time();
	nbd.mapper_hangs = false;
	nbd.n_clients = 0;
	nbd.engine.lanes.config.lanes = LANES;
	nbd.engine.lanes.max_writers = LANES / 2;
	assert_int_equal(slots_create(&nbd.slots, LANES, &nbd.mapper, &why), 0);
	assert_int_equal(loop_create(&nbd.loop, &config, &why), 0);
	assert_int_equal(mapper_start(&nbd.mapper, &nbd.loop, &why), 0);
	nbd.host = (struct host){ .loop = &nbd.loop,
				  .engine = &nbd.engine,
				  .slots = &nbd.slots,
				  .mapper = &nbd.mapper,
				  .size = SIZE,
				  .client_opens = opens,
				  .client_closed = closed,
				  .is_forced = is_forced };
	return 0;
}

void nbd_drop_removed(void)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < nbd.loop.n_sources; i++) {
		if (nbd.loop.sources[i])
			nbd.loop.sources[kept++] = nbd.loop.sources[i];
	}
	nbd.loop.n_sources = kept;
}

static bool waits_for_mapper(void)
{
	return nbd.mapper.busy_bytes && !nbd.mapper_hangs;
}

/* False where the loop would sleep. */
static bool turn(void)
{
	struct pollfd polls[LOOP_SOURCES_MAX];
	uint32_t n = nbd.loop.n_sources;
	int ready;

	for (uint32_t i = 0; i < n; i++)
		polls[i] =
			(struct pollfd){ .fd = nbd.loop.sources[i]->fd,
					 .events =
						 nbd.loop.sources[i]->events };
	ready = poll(polls, n, waits_for_mapper() ? LONG_MS : 0);
	assert_true(ready >= 0);
	if (!ready && !nbd.loop.soon)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (polls[i].revents)
			nbd.loop.sources[i]->ready(nbd.loop.sources[i],
						   polls[i].revents);
	}
	nbd.loop.soon = false;
	nbd.loop.wake_ns = UINT64_MAX;
	for (uint32_t i = 0; i < n; i++) {
		if (nbd.loop.sources[i] && nbd.loop.sources[i]->finish)
			nbd.loop.sources[i]->finish(nbd.loop.sources[i]);
	}
	nbd_drop_removed();
	return true;
}

/* Turns until the loop would sleep. */
void nbd_settle(void)
{
	unsigned turns = 0;

	while (turn()) {
		if (++turns == TURNS_MAX)
			fail_msg("the loop never sleeps");
	}
}

static void answer(struct loop_queue *queue)
{
	while (queue->first) {
		struct loop_request *r = queue->first;

		queue->first = r->next;
		r->rc = 0;
		nbd.loop.n_requests--;
		r->done(r);
	}
	queue->last = &queue->first;
}

/* The servers answer all requests that the loop has. */
void nbd_answer_all(void)
{
	answer(&nbd.loop.reads);
	answer(&nbd.loop.writes);
	loop_soon(&nbd.loop);
	nbd_settle();
}

/* So many seconds, with the turns that the loop makes without events. */
void nbd_pass(unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		nbd.later_ns += NS_PER_S;
		loop_soon(&nbd.loop);
		nbd_settle();
	}
}

int nbd_teardown(void **state)
{
	(void)state;
	nbd_answer_all();
	assert_int_equal(nbd.n_clients, 0);
	assert_int_equal(nbd.slots.n_clients, 0);
	assert_int_equal(nbd.slots.n_free[SLOTS_ANY], SLOTS);
	assert_int_equal(nbd.slots.huge_bytes, 0);
	assert_true(mapper_stop(&nbd.mapper));
	nbd_drop_removed();
	assert_int_equal(nbd.loop.n_sources, 0);
	slots_destroy(&nbd.slots);
	loop_destroy(&nbd.loop);
	return 0;
}

/* --- clients --- */

static ssize_t send_now(int fd, const uint8_t *data, size_t bytes)
{
	return send(fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends until the server takes no more.  The bytes sent. */
size_t nbd_send_some(int fd, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	size_t sent = 0;
	ssize_t n;

	do {
		n = send_now(fd, at + sent, bytes - sent);
		if (n < 0) {
			nbd_settle();
			n = send_now(fd, at + sent, bytes - sent);
		}
		sent += n > 0 ? (size_t)n : 0;
	} while (n > 0 && sent < bytes);
	return sent;
}

void nbd_send_all(int fd, const void *data, size_t bytes)
{
	assert_int_equal(nbd_send_some(fd, data, bytes), bytes);
	nbd_settle();
}

/* The server has closed it. */
bool nbd_is_closed(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/* Reads all that is there.  The bytes read. */
size_t nbd_drain(int fd)
{
	static char buf[1u << 20];
	size_t bytes = 0;
	ssize_t n;

	do {
		nbd_settle();
		n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
		bytes += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	return bytes;
}

/* A connection whose server's greeting was not read. */
int nbd_dial(void)
{
	uint8_t flags[4];
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_true(connection_open(&nbd.host, fds[0],
				    pages_map(connection_bytes())));
	nbd_put32(flags, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	nbd_send_all(fds[1], flags, sizeof flags);
	return fds[1];
}

void nbd_put_option(uint8_t option[NBD_OPTION_BYTES], uint32_t number)
{
	nbd_put32(nbd_put32(nbd_put64(option, NBD_OPTION_MAGIC), number), 0);
}

int nbd_open_client(void)
{
	uint8_t option[NBD_OPTION_BYTES];
	int fd = nbd_dial();

	nbd_put_option(option, NBD_OPT_EXPORT_NAME);
	nbd_send_all(fd, option, sizeof option);
	assert_true(nbd_drain(fd) > 0);
	return fd;
}

void nbd_close_client(int fd)
{
	close(fd);
	nbd_settle();
}

int nbd_listen(struct listener *listener)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int served = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	socklen_t bytes = sizeof addr;

	/* The kernel chooses a name. */
	assert_int_equal(bind(served, (void *)&addr, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(served, 1), 0);
	assert_int_equal(getsockname(served, (void *)&addr, &bytes), 0);
	listener_start(listener, &nbd.host, served);
	assert_int_equal(connect(fd, (void *)&addr, bytes), 0);
	return fd;
}

void nbd_unlisten(struct listener *listener)
{
	loop_remove(&nbd.loop, &listener->source);
	nbd_drop_removed();
	close(listener->fd);
}

void nbd_put_request(uint8_t out[NBD_REQUEST_BYTES], enum nbd_command command,
		     uint32_t bytes)
{
	uint8_t *at = nbd_put32(out, NBD_REQUEST_MAGIC);

	at = nbd_put16(nbd_put16(at, 0), (uint16_t)command);
	nbd_put32(nbd_put64(nbd_put64(at, 0), 0), bytes);
}

void nbd_request(int fd, enum nbd_command command, uint32_t bytes, unsigned n)
{
	static uint8_t out[2 * SLOTS][NBD_REQUEST_BYTES];

	assert_true(n <= COUNT(out));
	for (unsigned i = 0; i < n; i++)
		nbd_put_request(out[i], command, bytes);
	nbd_send_all(fd, out, n * sizeof out[0]);
}

/* The client gets an answer to a READ. */
bool nbd_is_served(int fd, uint32_t bytes)
{
	nbd_request(fd, NBD_CMD_READ, bytes, 1);
	nbd_answer_all();
	return nbd_drain(fd) == NBD_SIMPLE_BYTES + bytes;
}
