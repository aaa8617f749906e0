/* The TCP transport: a link is a socket, and a transfer one frame each way.
 *
 * No bounce buffer: frames are gathered from, and scattered to, the caller's
 * own memory.  Only the thread that holds the lane ever receives on a link, so
 * once wait returns nobody touches that memory any more.  All of a submit's
 * frames for one link leave in one sendmsg and come back in one recvmsg.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"
#include "transport.h"
#include "wireio.h"

/* How often a blocking receive looks at its deadline. */
#define RECEIVE_TICK_NS (100 * NS_PER_MS)

struct tcp_link {
	struct link base;
	int fd;
	uint64_t next_cookie;
};

struct tcp_channel {
	struct channel base;
	uint64_t spin_ns;
	/* Room for the frames of one submit, as they travel. */
	struct wire_data_request requests[TRANSPORT_MAX_XFERS];
	struct wire_data_reply replies[TRANSPORT_MAX_XFERS];
	struct iovec iov[2 * TRANSPORT_MAX_XFERS];
	uint64_t cookies[TRANSPORT_MAX_XFERS];
};

static struct tcp_link *tcp_link(struct link *link)
{
	return (struct tcp_link *)link;
}

static bool tcp_available(struct reason *why)
{
	(void)why;
	return true;
}

static int tcp_channel_create(const struct channel_config *config,
			      struct channel **channel, struct reason *why)
{
	struct tcp_channel *tcp = calloc(1, sizeof *tcp);

	if (!tcp) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->base.ops = &transport_tcp;
	tcp->spin_ns = config->spin_ns;
	*channel = &tcp->base;
	return 0;
}

static void tcp_channel_destroy(struct channel *channel)
{
	free(channel);
}

static int join(int fd, const struct wire_join *token, uint64_t deadline_ns,
		struct reason *why)
{
	struct wire_message request = { .type = WIRE_JOIN, .join = *token };
	struct wire_message reply;

	return wire_call(fd, &request, WIRE_JOINED, &reply, deadline_ns, why);
}

static int tcp_link_connect(struct channel *channel,
			    const struct link_target *target,
			    uint64_t deadline_ns, struct link **link,
			    struct reason *why)
{
	struct timeval tick = { .tv_usec = RECEIVE_TICK_NS / NS_PER_US };
	struct tcp_link *tcp = calloc(1, sizeof *tcp);
	int rc;

	if (!tcp) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->base = (struct link){ &transport_tcp, channel };
	tcp->fd = net_connect(&target->addr, deadline_ns, why);
	if (tcp->fd < 0) {
		rc = tcp->fd;
		free(tcp);
		return rc;
	}
	net_tune(tcp->fd, target->timeout_ns);
	setsockopt(tcp->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
	rc = join(tcp->fd, &target->join, deadline_ns, why);
	if (rc) {
		close(tcp->fd);
		free(tcp);
		return rc;
	}
	*link = &tcp->base;
	return 0;
}

static void tcp_link_abort(struct link *link)
{
	shutdown(tcp_link(link)->fd, SHUT_RDWR);
}

static void tcp_link_close(struct link *link)
{
	close(tcp_link(link)->fd);
	free(link);
}

/* Skips the first BYTES of an iovec array; returns how many entries are gone,
 * after shortening the one that is half done. */
static size_t iov_skip(struct iovec *iov, size_t n, size_t bytes)
{
	size_t i = 0;

	while (i < n && bytes >= iov[i].iov_len)
		bytes -= iov[i++].iov_len;
	if (bytes > 0) {
		iov[i].iov_base = (char *)iov[i].iov_base + bytes;
		iov[i].iov_len -= bytes;
	}
	return i;
}

static int send_iov(int fd, struct iovec *iov, size_t n, uint64_t deadline_ns)
{
	while (n > 0) {
		struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
		ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent >= 0) {
			size_t done = iov_skip(iov, n, (size_t)sent);

			iov += done;
			n -= done;
			if (n > 0 && clock_left_ns(deadline_ns) == 0)
				return -ETIMEDOUT;
		} else if (errno == EAGAIN) {
			int rc = net_wait(fd, POLLOUT, deadline_ns);

			if (rc)
				return rc;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Sends the frames of all transfers on the link of xfers[FIRST]. */
static void submit_link(struct tcp_channel *tcp, struct xfer *xfers, size_t n,
			size_t first, uint64_t deadline_ns)
{
	struct tcp_link *link = tcp_link(xfers[first].link);
	size_t n_iov = 0;
	int rc;

	for (size_t i = first; i < n; i++) {
		struct xfer *x = &xfers[i];
		struct wire_data_request request = {
			.magic = WIRE_DATA_MAGIC,
			.op = x->op == XFER_READ ? WIRE_READ : WIRE_WRITE,
			.slab = x->remote.slab,
			.bytes = x->bytes,
			.offset = x->offset_bytes,
		};

		if (x->link != &link->base)
			continue;
		request.cookie = tcp->cookies[i] = link->next_cookie++;
		wire_encode_request(&request, &tcp->requests[i]);
		tcp->iov[n_iov++] =
			(struct iovec){ &tcp->requests[i], sizeof request };
		if (x->op == XFER_WRITE)
			tcp->iov[n_iov++] = (struct iovec){ x->buf, x->bytes };
	}
	rc = send_iov(link->fd, tcp->iov, n_iov, deadline_ns);
	if (rc)
		transport_fail_link(&link->base, xfers, n, rc);
}

static void tcp_submit(struct channel *channel, struct xfer *xfers, size_t n,
		       uint64_t deadline_ns)
{
	struct tcp_channel *tcp = (struct tcp_channel *)channel;

	for (size_t i = 0; i < n; i++)
		xfers[i].status = -EINPROGRESS;
	for (size_t i = 0; i < n; i++) {
		if (transport_leads_link(xfers, i))
			submit_link(tcp, xfers, n, i, deadline_ns);
	}
}

/* One receive: as much as there is, or wait for it, up to a tick (-EAGAIN). */
static ssize_t receive_some(const struct tcp_channel *tcp, int fd,
			    struct iovec *iov, size_t n, uint64_t *spin_until)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t got;

	if (tcp->spin_ns && *spin_until == 0)
		*spin_until = clock_now_ns() + tcp->spin_ns;
	while (*spin_until && clock_now_ns() < *spin_until) {
		got = recvmsg(fd, &msg, MSG_DONTWAIT);
		if (got >= 0 || errno != EAGAIN)
			return got < 0 ? -errno : got;
	}
	got = recvmsg(fd, &msg, 0);
	return got < 0 ? -errno : got;
}

/* Fills IOV from FD.  *RECEIVED tells how many bytes came, also on failure. */
static int receive_iov(const struct tcp_channel *tcp, int fd, struct iovec *iov,
		       size_t n, uint64_t deadline_ns, size_t *received)
{
	uint64_t spin_until = 0;

	while (n > 0) {
		ssize_t got = receive_some(tcp, fd, iov, n, &spin_until);

		if (got > 0) {
			size_t done = iov_skip(iov, n, (size_t)got);

			*received += (size_t)got;
			iov += done;
			n -= done;
			/* Drop by drop is no answer either. */
			if (n > 0 && clock_left_ns(deadline_ns) == 0)
				return -ETIMEDOUT;
		} else if (got == 0) {
			return -ECONNRESET;
		} else if (got == -EAGAIN) {
			if (clock_left_ns(deadline_ns) == 0)
				return -ETIMEDOUT;
		} else if (got != -EINTR) {
			return (int)got;
		}
	}
	return 0;
}

/* What reply I says of its transfer: 0 or -EREMOTEIO, -EPROTO. */
static int judge_reply(const struct tcp_channel *tcp, const struct xfer *x,
		       size_t i)
{
	struct wire_data_reply reply;

	if (wire_decode_reply(&tcp->replies[i], &reply) != WIRE_OK ||
	    reply.cookie != tcp->cookies[i])
		return -EPROTO;
	if (reply.status)
		return -EREMOTEIO;
	return reply.bytes == (x->op == XFER_READ ? x->bytes : 0) ? 0 : -EPROTO;
}

/* Settles the transfers of one link, of which RECEIVED bytes of replies came,
 * in order; RC is why no more did. */
static void settle_link(struct tcp_channel *tcp, struct xfer *xfers, size_t n,
			size_t first, size_t received, int rc)
{
	struct link *link = xfers[first].link;

	for (size_t i = first; i < n && received >= sizeof tcp->replies[i];
	     i++) {
		struct xfer *x = &xfers[i];
		int verdict;

		if (x->link != link)
			continue;
		received -= sizeof tcp->replies[i];
		verdict = judge_reply(tcp, x, i);
		if (verdict) {
			x->status = rc = verdict;
			break;
		}
		if (x->op == XFER_READ) {
			if (received < x->bytes)
				break;
			received -= x->bytes;
		}
		x->status = 0;
	}
	if (rc)
		transport_fail_link(link, xfers, n,
				    rc == -EREMOTEIO ? -ECONNRESET : rc);
}

/* Receives the replies of all transfers on the link of xfers[FIRST]. */
static void wait_link(struct tcp_channel *tcp, struct xfer *xfers, size_t n,
		      size_t first, uint64_t deadline_ns)
{
	struct tcp_link *link = tcp_link(xfers[first].link);
	size_t n_iov = 0, received = 0;
	int rc;

	for (size_t i = first; i < n; i++) {
		struct xfer *x = &xfers[i];

		if (x->link != &link->base)
			continue;
		tcp->iov[n_iov++] = (struct iovec){ &tcp->replies[i],
						    sizeof tcp->replies[i] };
		if (x->op == XFER_READ)
			tcp->iov[n_iov++] = (struct iovec){ x->buf, x->bytes };
	}
	rc = receive_iov(tcp, link->fd, tcp->iov, n_iov, deadline_ns,
			 &received);
	settle_link(tcp, xfers, n, first, received, rc);
}

static void tcp_wait(struct channel *channel, struct xfer *xfers, size_t n,
		     uint64_t deadline_ns)
{
	struct tcp_channel *tcp = (struct tcp_channel *)channel;

	for (size_t i = 0; i < n; i++) {
		if (xfers[i].status == -EINPROGRESS &&
		    transport_leads_link(xfers, i))
			wait_link(tcp, xfers, n, i, deadline_ns);
	}
}

const struct transport_ops transport_tcp = {
	.name = "tcp",
	.wire_bit = WIRE_TRANSPORT_TCP,
	.available = tcp_available,
	.channel_create = tcp_channel_create,
	.channel_destroy = tcp_channel_destroy,
	.link_connect = tcp_link_connect,
	.link_abort = tcp_link_abort,
	.link_close = tcp_link_close,
	.submit = tcp_submit,
	.wait = tcp_wait,
};
