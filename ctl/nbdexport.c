#include "nbdexport.h"

#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <string.h>
#include <unistd.h>

#include <linux/nbd.h>

#include "clock.h"
#include "run.h"

/* Not in every kernel's header. */
#define FLAG_ROTATIONAL	  (1 << 4)
#define FLAG_WRITE_ZEROES (1 << 6)

static void failed(struct error *why)
{
	const char *error = nbd_get_error();

	error_set(why, "the NBD server: %s", error ? error : "no handshake");
}

/* The kernel speaks the plain protocol: no structured replies, no extended
 * headers. */
static int set_up(struct nbd_handle *h)
{
#ifdef LIBNBD_HAVE_NBD_SET_REQUEST_EXTENDED_HEADERS
	if (nbd_set_request_extended_headers(h, false) < 0)
		return -1;
#endif
	return nbd_set_request_structured_replies(h, false);
}

/* While libnbd connects, or ends what it has begun. */
static int wait_while_connecting(struct nbd_handle *h, uint64_t deadline_ns,
				 struct error *why)
{
	while (nbd_aio_is_connecting(h)) {
		if (run_interrupted() || !clock_left_ns(deadline_ns)) {
			error_set(why, "%s",
				  run_interrupted() ? "interrupted"
						    : "no handshake within "
						      "its deadline");
			return -1;
		}
		if (nbd_poll(h, 100) < 0 && nbd_get_errno() != EINTR) {
			failed(why);
			return -1;
		}
	}
	return 0;
}

static int handshake(struct nbd_handle *h, const char *path,
		     uint64_t deadline_ns, struct error *why)
{
	if (set_up(h) < 0 || nbd_aio_connect_unix(h, path) < 0) {
		failed(why);
		return -1;
	}
	if (wait_while_connecting(h, deadline_ns, why) < 0)
		return -1;
	if (nbd_aio_is_ready(h) || nbd_aio_is_negotiating(h))
		return 0;
	error_set(why, "the NBD server hangs up during the handshake");
	return -1;
}

/* Says good-bye as the protocol wants it, so that the server has nothing to
 * complain of. */
static int greet(struct nbd_handle *h, const char *path, uint64_t deadline_ns,
		 struct error *why)
{
	if (nbd_set_opt_mode(h, true) < 0) {
		failed(why);
		return -1;
	}
	if (handshake(h, path, deadline_ns, why) < 0)
		return -1;
	/* an old server does not negotiate */
	if (nbd_aio_is_negotiating(h) && nbd_aio_opt_abort(h) == 0)
		wait_while_connecting(h, deadline_ns, why);
	return 0;
}

int nbdexport_greet(const char *path, uint64_t deadline_ns, struct error *why)
{
	struct nbd_handle *h = nbd_create();
	int err;

	if (!h) {
		failed(why);
		return -1;
	}
	err = greet(h, path, deadline_ns, why);
	nbd_close(h);
	return err;
}

/* The call for each flag: 1, 0, or -1 without a connection. */
static const struct {
	int (*has)(struct nbd_handle *h);
	uint64_t flag;
} flags[] = {
	{ nbd_is_read_only, NBD_FLAG_READ_ONLY },
	{ nbd_can_flush, NBD_FLAG_SEND_FLUSH },
	{ nbd_can_fua, NBD_FLAG_SEND_FUA },
	{ nbd_is_rotational, FLAG_ROTATIONAL },
	{ nbd_can_trim, NBD_FLAG_SEND_TRIM },
	{ nbd_can_zero, FLAG_WRITE_ZEROES },
	{ nbd_can_multi_conn, NBD_FLAG_CAN_MULTI_CONN },
};

static int read_export(struct nbd_handle *h, struct nbdexport *export,
		       struct error *why)
{
	int64_t size = nbd_get_size(h);

	if (size < 0) {
		failed(why);
		return -1;
	}
	export->size_bytes = (uint64_t)size;
	export->flags = NBD_FLAG_HAS_FLAGS;
	for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
		if (flags[i].has(h) == 1)
			export->flags |= flags[i].flag;
	}
	return 0;
}

/* A descriptor of the connection that outlives the handle. libnbd closes its
 * own descriptor without a message to the server. */
static int take_socket(struct nbd_handle *h, struct error *why)
{
	int fd = fcntl(nbd_aio_get_fd(h), F_DUPFD_CLOEXEC, 0);

	if (fd < 0) {
		error_set(why, "the NBD server's socket: %s", strerror(errno));
		return -1;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

static int connect_one(const char *path, struct nbdexport *export,
		       uint64_t deadline_ns, struct error *why)
{
	struct nbd_handle *h = nbd_create();
	int fd = -1;

	if (!h) {
		failed(why);
		return -1;
	}
	if (handshake(h, path, deadline_ns, why) == 0 &&
	    read_export(h, export, why) == 0)
		fd = take_socket(h, why);
	nbd_close(h);
	return fd;
}

int nbdexport_open(const char *path, int n, struct nbdexport *export,
		   uint64_t deadline_ns, struct error *why)
{
	*export = (struct nbdexport){ 0 };
	for (int i = 0; i < n; i++) {
		int fd = connect_one(path, export, deadline_ns, why);

		if (fd >= 0)
			export->sockets[export->n_sockets++] = fd;
		if (fd >= 0 &&
		    (n == 1 || export->flags & NBD_FLAG_CAN_MULTI_CONN))
			continue;
		if (fd >= 0)
			error_set(why, "the NBD server does not allow more "
				       "than one connection");
		nbdexport_close(export);
		return -1;
	}
	return 0;
}

void nbdexport_close(struct nbdexport *export)
{
	while (export->n_sockets > 0)
		close(export->sockets[--export->n_sockets]);
}
