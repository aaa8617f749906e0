#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "size.h"

/* A listener's queue: many lanes of many plugins join at once. */
#define BACKLOG 1024

static bool take_port(const char *text, uint16_t *port, struct error *why)
{
	uint64_t n;

	if (!number_parse(text, 0, UINT16_MAX, &n)) {
		error_set(why,
			  "the port \"%s\" is not a number from 0 to 65535",
			  text);
		return false;
	}
	*port = (uint16_t)n;
	return true;
}

bool net_name_parse(const char *text, uint16_t default_port,
		    struct net_name *name, struct error *why)
{
	const char *host = text, *end = text + strlen(text), *port = NULL;
	const char *colon = strchr(text, ':');

	if (*text == '[') {
		host = text + 1;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':')) {
			error_set(why, "\"%s\" is not [ADDRESS]:PORT", text);
			return false;
		}
		port = end[1] ? end + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		end = colon;
		port = colon + 1;
	}
	if (end == host || (size_t)(end - host) >= sizeof name->host) {
		error_set(why, "\"%s\" is not HOST[:PORT]", text);
		return false;
	}
	name->port = default_port;
	if (port && !take_port(port, &name->port, why))
		return false;
	memcpy(name->host, host, (size_t)(end - host));
	name->host[end - host] = '\0';
	return true;
}

struct net_text net_name_format(const struct net_name *name)
{
	struct net_text out;
	bool v6 = strchr(name->host, ':');

	snprintf(out.text, sizeof out.text, "%s%.90s%s:%u", v6 ? "[" : "",
		 name->host, v6 ? "]" : "", name->port);
	return out;
}

bool net_addr_equal(const struct net_addr *a, const struct net_addr *b)
{
	return a->length == b->length &&
	       !memcmp(&a->storage, &b->storage, a->length);
}

static void add_addr(struct net_addrs *addrs, const struct addrinfo *info)
{
	struct net_addr *addr = &addrs->addr[addrs->n];

	if (addrs->n == NET_ADDRS_MAX)
		return;
	*addr = (struct net_addr){ .length = info->ai_addrlen };
	memcpy(&addr->storage, info->ai_addr, info->ai_addrlen);
	for (unsigned i = 0; i < addrs->n; i++) {
		if (net_addr_equal(&addrs->addr[i], addr))
			return; /* a hosts file may have it twice */
	}
	addrs->n++;
}

int net_resolve(const struct net_name *name, struct net_addrs *addrs,
		struct error *why)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICSERV };
	struct addrinfo *found;
	char port[8];
	int rc;

	snprintf(port, sizeof port, "%u", name->port);
	rc = getaddrinfo(name->host, port, &hints, &found);
	if (rc) {
		error_set(why, "cannot look up \"%s\": %s", name->host,
			  rc == EAI_SYSTEM ? strerror(errno)
					   : gai_strerror(rc));
		return -EADDRNOTAVAIL;
	}
	addrs->n = 0;
	for (const struct addrinfo *info = found; info; info = info->ai_next)
		add_addr(addrs, info);
	freeaddrinfo(found);
	return 0;
}

bool net_host_is_numeric(const char *host)
{
	uint8_t address[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, address) == 1 ||
	       inet_pton(AF_INET6, host, address) == 1;
}

struct net_text net_addr_format(const struct net_addr *addr)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->storage;
	struct net_text out = { "unknown address" };
	char host[64], port[8];

	if (sa->sa_family == AF_UNIX) {
		snprintf(out.text, sizeof out.text, "a Unix socket");
	} else if (!getnameinfo(sa, addr->length, host, sizeof host, port,
				sizeof port, NI_NUMERICHOST | NI_NUMERICSERV)) {
		bool v6 = sa->sa_family == AF_INET6;

		snprintf(out.text, sizeof out.text, "%s%s%s:%s", v6 ? "[" : "",
			 host, v6 ? "]" : "", port);
	}
	return out;
}

bool net_addr_is_loopback(const struct net_addr *addr)
{
	const struct in6_addr *v6 =
		&((const struct sockaddr_in6 *)&addr->storage)->sin6_addr;
	const struct in_addr *v4 =
		&((const struct sockaddr_in *)&addr->storage)->sin_addr;

	switch (addr->storage.ss_family) {
	case AF_INET:
		return ntohl(v4->s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(v6) ||
		       (IN6_IS_ADDR_V4MAPPED(v6) &&
			v6->s6_addr[12] == IN_LOOPBACKNET);
	default:
		return false;
	}
}

uint16_t net_addr_port(const struct net_addr *addr)
{
	if (addr->storage.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&addr->storage)
				     ->sin6_port);
	return ntohs(((const struct sockaddr_in *)&addr->storage)->sin_port);
}

void net_addr_set_port(struct net_addr *addr, uint16_t port)
{
	if (addr->storage.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&addr->storage)->sin6_port =
			htons(port);
	else
		((struct sockaddr_in *)&addr->storage)->sin_port = htons(port);
}

bool net_local_addr(int fd, struct net_addr *addr)
{
	addr->length = sizeof addr->storage;
	return !getsockname(fd, (struct sockaddr *)&addr->storage,
			    &addr->length);
}

bool net_peer_addr(int fd, struct net_addr *addr)
{
	addr->length = sizeof addr->storage;
	return !getpeername(fd, (struct sockaddr *)&addr->storage,
			    &addr->length);
}

int net_poll(struct pollfd *fds, unsigned n, uint64_t deadline_ns)
{
	for (;;) {
		struct timespec left =
			clock_timespec(clock_left_ns(deadline_ns));
		int rc = ppoll(fds, n, &left, NULL);

		if (rc > 0)
			return 0;
		if (rc == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int net_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = fd, .events = events };

	return net_poll(&p, 1, deadline_ns);
}

static bool set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return false;
	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	return !fcntl(fd, F_SETFL, flags);
}

/* Connects a non-blocking socket: 0 or a negative errno. */
static int connect_by(int fd, const struct sockaddr *sa, socklen_t length,
		      uint64_t deadline_ns)
{
	int error = 0, rc;
	socklen_t size = sizeof error;

	if (!connect(fd, sa, length))
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	rc = net_wait(fd, POLLOUT, deadline_ns);
	if (rc)
		return rc;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
		return -errno;
	return -error;
}

int net_connect(const struct net_addr *addr, uint64_t deadline_ns,
		struct error *why)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->storage;
	int one = 1, rc;
	int fd = socket(sa->sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		rc = -errno;
		error_set(why, "cannot make a socket: %s", strerror(-rc));
		return rc;
	}
	rc = connect_by(fd, sa, addr->length, deadline_ns);
	if (!rc && !set_blocking(fd, true))
		rc = -errno;
	if (rc) {
		error_set(why, "cannot connect to %s: %s",
			  net_addr_format(addr).text, strerror(-rc));
		close(fd);
		return rc;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

uint64_t net_turn_deadline(uint64_t deadline_ns, unsigned n)
{
	return clock_now_ns() + clock_left_ns(deadline_ns) / n;
}

int net_connect_any(const struct net_addrs *addrs, uint64_t deadline_ns,
		    struct net_addr *used, struct error *why)
{
	struct error all = { "" };
	size_t said = 0;
	int fd = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < addrs->n; i++) {
		struct error one;

		fd = net_connect(&addrs->addr[i],
				 net_turn_deadline(deadline_ns, addrs->n - i),
				 &one);
		if (fd >= 0) {
			if (used)
				*used = addrs->addr[i];
			return fd;
		}
		if (said < sizeof all.text)
			said += (size_t)snprintf(all.text + said,
						 sizeof all.text - said, "%s%s",
						 i ? "; " : "", one.text);
	}
	*why = all;
	return fd;
}

int net_listen(const struct net_addr *addr, struct error *why)
{
	const struct sockaddr *sa = (const struct sockaddr *)&addr->storage;
	int one = 1, rc;
	int fd = socket(sa->sa_family,
			SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
		if (sa->sa_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one,
				   sizeof one);
		if (!bind(fd, sa, addr->length) && !listen(fd, BACKLOG))
			return fd;
	}
	rc = -errno;
	error_set(why, "cannot listen on %s: %s", net_addr_format(addr).text,
		  strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

/* A Unix socket and its address, or a negative errno. */
static int unix_socket(const char *path, struct sockaddr_un *sa,
		       struct error *why)
{
	int fd;

	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof sa->sun_path) {
		error_set(why,
			  "the socket path \"%s\" is longer than %zu bytes",
			  path, sizeof sa->sun_path - 1);
		return -ENAMETOOLONG;
	}
	strcpy(sa->sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0)
		return fd;
	error_set(why, "cannot make a socket: %s", strerror(errno));
	return -errno;
}

int net_connect_unix(const char *path, struct error *why)
{
	struct sockaddr_un sa;
	int rc, fd = unix_socket(path, &sa, why);

	if (fd < 0)
		return fd;
	if (!connect(fd, (struct sockaddr *)&sa, sizeof sa) &&
	    set_blocking(fd, true))
		return fd;
	rc = -errno;
	error_set(why, "cannot connect to %s: %s", path, strerror(-rc));
	close(fd);
	return rc;
}

/* Removes the socket file of a program that is gone. */
static int remove_stale_socket(const char *path, struct error *why)
{
	struct error ignored;
	struct stat st;
	int fd;

	if (lstat(path, &st))
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		error_set(why, "%s exists and is not a socket", path);
		return -EEXIST;
	}
	fd = net_connect_unix(path, &ignored);
	if (fd != -ECONNREFUSED) {
		if (fd >= 0)
			close(fd);
		error_set(why, "%s is in use by a running program", path);
		return -EADDRINUSE;
	}
	if (!unlink(path))
		return 0;
	error_set(why, "cannot remove the old socket %s: %s", path,
		  strerror(errno));
	return -errno;
}

int net_listen_unix(const char *path, struct error *why)
{
	struct sockaddr_un sa;
	int fd, rc = remove_stale_socket(path, why);

	if (rc)
		return rc;
	fd = unix_socket(path, &sa, why);
	if (fd < 0)
		return fd;
	/* The mode of the socket itself counts, before any program can connect.
	 */
	fchmod(fd, 0600);
	if (!bind(fd, (struct sockaddr *)&sa, sizeof sa) &&
	    !chmod(path, 0600) && !listen(fd, BACKLOG))
		return fd;
	rc = -errno;
	error_set(why, "cannot listen on %s: %s", path, strerror(-rc));
	close(fd);
	return rc;
}

void net_tune(int fd, uint64_t timeout_ns)
{
	int one = 1, idle_s = 5, interval_s = 5, count = 3;
	unsigned timeout_ms = (unsigned)(timeout_ns / NS_PER_MS);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
		   sizeof interval_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
		   sizeof timeout_ms);
}

void net_limit_buffers(int fd, int bytes)
{
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

int net_send_all(int fd, const void *buf, size_t bytes, uint64_t deadline_ns)
{
	const char *p = buf;

	while (bytes > 0) {
		ssize_t n = send(fd, p, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			p += n;
			bytes -= (size_t)n;
			if (bytes > 0 && clock_left_ns(deadline_ns) == 0)
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

int net_recv_all(int fd, void *buf, size_t bytes, uint64_t deadline_ns)
{
	char *p = buf;

	while (bytes > 0) {
		ssize_t n = recv(fd, p, bytes, MSG_DONTWAIT);

		if (n > 0) {
			p += n;
			bytes -= (size_t)n;
			if (bytes > 0 && clock_left_ns(deadline_ns) == 0)
				return -ETIMEDOUT;
		} else if (n == 0) {
			return -ECONNRESET;
		} else if (errno == EAGAIN) {
			int rc = net_wait(fd, POLLIN, deadline_ns);

			if (rc)
				return rc;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}
