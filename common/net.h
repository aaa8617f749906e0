/* Addresses and stream sockets with deadlines.
 *
 * Every blocking function takes a deadline and returns 0, or a negative errno:
 * -ETIMEDOUT when the deadline passed, -ECONNRESET when the peer closed.  Any
 * thread; one thread at a time for one direction of one socket. */
#ifndef RSWAP_NET_H
#define RSWAP_NET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "error.h"

/* "HOST", "HOST:PORT", "[V6]:PORT", "V6" as they were written, taken apart. */
struct net_name {
	char host[254];
	uint16_t port;
};

/* A resolved address. */
struct net_addr {
	struct sockaddr_storage storage;
	socklen_t length;
};

/* All addresses of a name, each once, in the order in which the resolver would
 * have them tried.  Those beyond NET_ADDRS_MAX are left out. */
#define NET_ADDRS_MAX 16
struct net_addrs {
	unsigned n; /* 1 or more */
	struct net_addr addr[NET_ADDRS_MAX];
};

/* For messages: "10.0.0.1:10909", "[::1]:10909", "/run/x.sock". */
struct net_text {
	char text[112];
};

/* Takes TEXT apart; DEFAULT_PORT where it names none.  Port 0 is allowed. On
 * failure WHY says what is wrong, without naming the option. */
bool net_name_parse(const char *text, uint16_t default_port,
		    struct net_name *name, struct error *why);
struct net_text net_name_format(const struct net_name *name);

/* Looks NAME up.  Blocks as the resolver does: only at start and on reconnect.
 * 0 or a negative errno. */
int net_resolve(const struct net_name *name, struct net_addrs *addrs,
		struct error *why);
/* Whether HOST is an address, for which no name service is asked. */
bool net_host_is_numeric(const char *host);
bool net_addr_equal(const struct net_addr *a, const struct net_addr *b);
struct net_text net_addr_format(const struct net_addr *addr);
/* Whether only this machine reaches ADDR: 127.0.0.0/8, ::1. */
bool net_addr_is_loopback(const struct net_addr *addr);
uint16_t net_addr_port(const struct net_addr *addr);
void net_addr_set_port(struct net_addr *addr, uint16_t port);

/* The local or remote end of a connected socket. */
bool net_local_addr(int fd, struct net_addr *addr);
bool net_peer_addr(int fd, struct net_addr *addr);

/* All sockets made here are close-on-exec. */

/* A connected stream socket (blocking, TCP_NODELAY), or a negative errno. */
int net_connect(const struct net_addr *addr, uint64_t deadline_ns,
		struct error *why);

/* The same with the addresses of a name in turn.  An address that does not
 * answer leaves the others their share of the time.  USED (or NULL) gets the
 * address that took the connection.  On failure WHY has the error of each
 * address, as far as there is room. */
int net_connect_any(const struct net_addrs *addrs, uint64_t deadline_ns,
		    struct net_addr *used, struct error *why);
/* The deadline of the next of N attempts that share the time until DEADLINE_NS
 * equally. */
uint64_t net_turn_deadline(uint64_t deadline_ns, unsigned n);

/* A listening socket (non-blocking), or a negative errno. */
int net_listen(const struct net_addr *addr, struct error *why);

/* The same for a Unix stream socket at PATH. net_listen_unix replaces a socket
 * without a listener.  It refuses if a program listens there, or if PATH is no
 * socket.  The new socket has mode 0600. */
int net_connect_unix(const char *path, struct error *why);
int net_listen_unix(const char *path, struct error *why);

/* Sets the options of every TCP socket of rswap: TCP_NODELAY, keep-alive, and
 * TCP_USER_TIMEOUT of TIMEOUT_NS, so that the connection to a vanished host
 * ends. */
void net_tune(int fd, uint64_t timeout_ns);

/* The kernel keeps at most BYTES that came and were not read, and as many that
 * were sent and not acknowledged; with what it needs besides, twice that
 * (socket(7)).  By itself it takes some 10 MB for a peer that sends and does
 * not read (tcp(7): tcp_rmem, tcp_wmem).  Connections have the limit of the
 * socket that listened for them.  Set later, it would take the kernel's first
 * window for the largest. */
void net_limit_buffers(int fd, int bytes);

/* Sends or receives exactly BYTES.  The socket may be blocking or not: the
 * socket call itself never blocks. */
int net_send_all(int fd, const void *buf, size_t bytes, uint64_t deadline_ns);
int net_recv_all(int fd, void *buf, size_t bytes, uint64_t deadline_ns);

/* Waits until one of the N is ready, as poll(2) does: 0. */
struct pollfd;
int net_poll(struct pollfd *fds, unsigned n, uint64_t deadline_ns);
/* Waits until FD is ready for EVENTS (poll(2)). */
int net_wait(int fd, short events, uint64_t deadline_ns);

#endif
