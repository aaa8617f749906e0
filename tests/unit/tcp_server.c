#include "tcp_server.h"

#include <poll.h>
#include <unistd.h>

#include "wireio.h"

struct tcp_server tcp_server = { .store_lock = PTHREAD_MUTEX_INITIALIZER };

static struct tcp_server *const s = &tcp_server;

static bool receive(int fd, void *buf, size_t bytes)
{
	return !net_recv_all(fd, buf, bytes, after_ms(LONG_MS));
}

static bool answer(int fd, const void *buf, size_t bytes)
{
	return !net_send_all(fd, buf, bytes, after_ms(LONG_MS));
}

/* Until the test is over. */
static bool sulk(void)
{
	while (!atomic_load(&s->stop))
		sleep_ms(1);
	return false;
}

/* A good answer follows. */
static void hold(void)
{
	while (!atomic_load(&s->released) && !atomic_load(&s->stop))
		sleep_ms(1);
}

/* A good reply and a payload without end in sight. */
static bool drip(int fd, const struct wire_data_reply *reply)
{
	unsigned char buf[sizeof *reply];

	memcpy(buf, reply, sizeof buf);
	for (size_t i = 0; !atomic_load(&s->stop); i++) {
		if (!answer(fd, i < sizeof buf ? &buf[i] : buf, 1))
			break;
		sleep_ms(20);
	}
	return false;
}

/* A reply as the behaviour wants it.  True where the lane goes on. */
static bool misbehave(int fd, const struct wire_data_request *request,
		      struct wire_data_reply reply)
{
	unsigned char buf[sizeof reply];
	size_t bytes = sizeof buf;

	switch (s->behaviour) {
	case TCP_STATUS:
		reply.status = WIRE_E_NO_SLAB;
		reply.bytes = 0;
		break;
	case TCP_COOKIE:
		reply.cookie++;
		break;
	case TCP_MAGIC:
		reply.magic = WIRE_DATA_MAGIC;
		break;
	case TCP_COUNT:
		reply.bytes++;
		break;
	case TCP_TRUNCATED:
		bytes /= 2;
		break;
	case TCP_SHORT:
		break;
	case TCP_HELD:
		hold();
		break;
	case TCP_DRIP:
		return drip(fd, &reply);
	case TCP_SILENT:
	case TCP_DEAF:
		return sulk();
	default:
		return false;
	}
	memcpy(buf, &reply, sizeof reply);
	if (!answer(fd, buf, bytes) || s->behaviour == TCP_STATUS ||
	    s->behaviour == TCP_TRUNCATED)
		return false;
	if (request->op != WIRE_READ)
		return true;
	bytes = request->bytes;
	if (s->behaviour == TCP_SHORT)
		bytes /= 2;
	return answer(fd, s->store[request->slab] + request->offset, bytes) &&
	       s->behaviour != TCP_SHORT;
}

static bool do_request(struct tcp_lane *lane,
		       const struct wire_data_request *request)
{
	char *stored = s->store[request->slab] + request->offset;
	bool read = request->op == WIRE_READ;
	struct wire_data_reply reply = { .magic = WIRE_REPLY_MAGIC,
					 .bytes = read ? request->bytes : 0,
					 .cookie = request->cookie };
	unsigned char buf[sizeof reply];

	if (!read && !receive(lane->fd, lane->bounce, request->bytes))
		return false;
	/* ThreadSanitizer does not see that requests on two lanes follow each
	 * other by way of the client. */
	pthread_mutex_lock(&s->store_lock);
	memcpy(read ? lane->bounce : stored, read ? stored : lane->bounce,
	       request->bytes);
	pthread_mutex_unlock(&s->store_lock);
	if (lane->misbehaves && lane->answered++ >= s->after)
		return misbehave(lane->fd, request, reply);
	memcpy(buf, &reply, sizeof reply);
	return answer(lane->fd, buf, sizeof buf) &&
	       (!read || answer(lane->fd, lane->bounce, request->bytes));
}

static bool do_requests(struct tcp_lane *lane)
{
	unsigned char buf[sizeof(struct wire_data_request)];
	struct wire_data_request request;

	while (receive(lane->fd, buf, sizeof buf)) {
		if (wire_decode_request(buf, &request) != WIRE_OK ||
		    request.slab > 1 ||
		    request.offset + request.bytes > TCP_SLAB_BYTES ||
		    !do_request(lane, &request))
			return false;
	}
	return true;
}

static bool take_join(int fd)
{
	struct wire_message join, reply = { .type = WIRE_JOINED };
	struct stream stream = stream_plain(fd);
	struct error why;

	if (wire_recv(&stream, &join, after_ms(LONG_MS), &why) ||
	    join.type != WIRE_JOIN)
		return false;
	s->joined = join.join;
	reply.cookie = join.cookie;
	switch (s->behaviour) {
	case TCP_JOIN_CLOSED:
		return false;
	case TCP_JOIN_SILENT:
		return sulk();
	case TCP_JOIN_WRONG:
		reply.type = WIRE_PONG;
		break;
	case TCP_JOIN_REFUSED:
		reply.type = WIRE_ERROR;
		reply.error.code = WIRE_E_TOKEN;
		strcpy(reply.error.text, "that token joins nothing");
		break;
	default:
		break;
	}
	return !wire_send(&stream, &reply, after_ms(LONG_MS), &why);
}

static void *lane_thread(void *arg)
{
	struct tcp_lane *lane = arg;

	if (take_join(lane->fd)) {
		if (s->behaviour == TCP_DEAF)
			sulk();
		else
			do_requests(lane);
	}
	shutdown(lane->fd, SHUT_RDWR);
	return NULL;
}

static void *accept_thread(void *arg)
{
	(void)arg;
	while (!atomic_load(&s->stop)) {
		struct pollfd p = { .fd = s->listener, .events = POLLIN };
		struct tcp_lane *lane = &s->lanes[s->n_lanes];

		if (poll(&p, 1, 5) <= 0 || s->n_lanes == TCP_LANES_MAX)
			continue;
		lane->fd = accept(s->listener, NULL, NULL);
		net_tune(lane->fd, LONG_MS * NS_PER_MS);
		lane->answered = 0;
		s->n_lanes++;
		lane->misbehaves =
			s->behaviour != TCP_GOOD &&
			(!s->only_lane || s->only_lane == s->n_lanes);
		pthread_create(&lane->thread, NULL, lane_thread, lane);
	}
	return NULL;
}

void tcp_server_start(enum tcp_behaviour behaviour, unsigned after)
{
	struct net_name name = { "127.0.0.1", 0 };
	struct net_addrs addrs;
	struct error why;

	s->behaviour = behaviour;
	s->after = after;
	s->n_lanes = 0;
	atomic_store(&s->stop, false);
	atomic_store(&s->released, false);
	assert_int_equal(net_resolve(&name, &addrs, &why), 0);
	s->addr = addrs.addr[0];
	s->listener = net_listen(&s->addr, &why);
	assert_true(s->listener >= 0);
	assert_true(net_local_addr(s->listener, &s->addr));
	s->thread = thread_start(accept_thread, NULL);
}

void tcp_server_stop(void)
{
	atomic_store(&s->stop, true);
	thread_end(s->thread);
	for (size_t i = 0; i < s->n_lanes; i++) {
		shutdown(s->lanes[i].fd, SHUT_RDWR);
		thread_end(s->lanes[i].thread);
		close(s->lanes[i].fd);
	}
	close(s->listener);
	s->only_lane = 0;
}
