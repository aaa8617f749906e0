#include "nbd_netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nbd-netlink.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

/* The kernel answers at once: it handles one request before it takes the next.
 */
#define ANSWER_S 20

struct answer {
	int number; /* of the device, or -1 */
	int err;    /* -errno, or 0 */
	bool done;
};

struct channel {
	struct nl_sock *nl;
	int family;
	struct answer answer;
};

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;
	struct nlattr *attrs[NBD_ATTR_MAX + 1];

	if (genlmsg_parse(nlmsg_hdr(msg), 0, attrs, NBD_ATTR_MAX, NULL) == 0 &&
	    attrs[NBD_ATTR_INDEX])
		answer->number = (int)nla_get_u32(attrs[NBD_ATTR_INDEX]);
	return NL_OK;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct answer *answer = arg;

	(void)msg;
	answer->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *error, void *arg)
{
	struct answer *answer = arg;

	(void)from;
	answer->err = error->error;
	answer->done = true;
	return NL_STOP;
}

static int channel_open(struct channel *c, struct error *why)
{
	struct timeval limit = { .tv_sec = ANSWER_S };
	struct nl_cb *cb;
	int err;

	*c = (struct channel){ .nl = nl_socket_alloc(), .answer.number = -1 };
	if (!c->nl) {
		error_set(why, "netlink: out of memory");
		return -1;
	}
	err = genl_connect(c->nl);
	if (err == 0) {
		setsockopt(nl_socket_get_fd(c->nl), SOL_SOCKET, SO_RCVTIMEO,
			   &limit, sizeof limit);
		c->family = genl_ctrl_resolve(c->nl, NBD_GENL_FAMILY_NAME);
		err = c->family < 0 ? c->family : 0;
	}
	if (err) {
		error_set(why, "the kernel's nbd does not speak netlink: %s",
			  nl_geterror(err));
		nl_socket_free(c->nl);
		return -1;
	}
	cb = nl_socket_get_cb(c->nl);
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_answer, &c->answer);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, &c->answer);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, &c->answer);
	nl_cb_put(cb);
	return 0;
}

/* Sends MSG, frees it, and waits for the kernel's yes or no: 0 or -errno. */
static int ask(struct channel *c, struct nl_msg *msg)
{
	int err = nl_send_auto(c->nl, msg);

	nlmsg_free(msg);
	while (err >= 0 && !c->answer.done) {
		err = nl_recvmsgs_default(c->nl);
		/* a signal has to wait until the outcome is known */
		if (err == -NLE_INTR)
			err = 0;
	}
	if (c->answer.done)
		return c->answer.err;
	return err == -NLE_AGAIN ? -ETIMEDOUT : -EIO;
}

static struct nl_msg *message(const struct channel *c, uint8_t command)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, c->family, 0, 0,
				command, 0)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

static int put_sockets(struct nl_msg *msg, const int *sockets, int n)
{
	struct nlattr *list = nla_nest_start(msg, NBD_ATTR_SOCKETS);

	for (int i = 0; list && i < n; i++) {
		struct nlattr *item = nla_nest_start(msg, NBD_SOCK_ITEM);

		if (!item ||
		    nla_put_u32(msg, NBD_SOCK_FD, (uint32_t)sockets[i]) < 0)
			return -1;
		nla_nest_end(msg, item);
	}
	if (list)
		nla_nest_end(msg, list);
	return list ? 0 : -1;
}

/* NBD_ATTR_DEAD_CONN_TIMEOUT is 0: requests on a dead connection fail at once.
 * A new connection could not help, because the page map went with the front
 * end, and processes would wait for it in the kernel. */
static int put_connect(struct nl_msg *msg, const struct nbd_request_connect *r)
{
	if (r->number >= 0 &&
	    nla_put_u32(msg, NBD_ATTR_INDEX, (uint32_t)r->number) < 0)
		return -1;
	if (nla_put_u64(msg, NBD_ATTR_SIZE_BYTES, r->size_bytes) < 0 ||
	    nla_put_u64(msg, NBD_ATTR_BLOCK_SIZE_BYTES, r->block_bytes) < 0 ||
	    nla_put_u64(msg, NBD_ATTR_TIMEOUT, r->timeout_s) < 0 ||
	    nla_put_u64(msg, NBD_ATTR_DEAD_CONN_TIMEOUT, 0) < 0 ||
	    nla_put_u64(msg, NBD_ATTR_SERVER_FLAGS, r->server_flags) < 0 ||
	    nla_put_string(msg, NBD_ATTR_BACKEND_IDENTIFIER, r->backend) < 0)
		return -1;
	return put_sockets(msg, r->sockets, r->n_sockets);
}

int nbd_netlink_connect(const struct nbd_request_connect *request, bool *busy,
			struct error *why)
{
	struct channel c;
	struct nl_msg *msg;
	int err;

	*busy = false;
	if (channel_open(&c, why) < 0)
		return -1;
	msg = message(&c, NBD_CMD_CONNECT);
	if (!msg || put_connect(msg, request) < 0) {
		nlmsg_free(msg);
		err = -ENOMEM;
	} else {
		err = ask(&c, msg);
	}
	nl_socket_free(c.nl);
	if (!err && c.answer.number >= 0)
		return c.answer.number;
	*busy = err == -EBUSY && request->number >= 0;
	if (*busy)
		error_set(why, "/dev/nbd%d is in use", request->number);
	else
		error_set(why, "the kernel does not connect an nbd device: %s",
			  err ? strerror(-err) : "it names none");
	return -1;
}

int nbd_netlink_disconnect(int number, struct error *why)
{
	struct channel c;
	struct nl_msg *msg;
	int err = -ENOMEM;

	if (channel_open(&c, why) < 0)
		return -1;
	msg = message(&c, NBD_CMD_DISCONNECT);
	if (msg && nla_put_u32(msg, NBD_ATTR_INDEX, (uint32_t)number) == 0)
		err = ask(&c, msg);
	else
		nlmsg_free(msg);
	nl_socket_free(c.nl);
	if (!err)
		return 0;
	error_set(why, "the kernel does not disconnect /dev/nbd%d: %s", number,
		  strerror(-err));
	return -1;
}
