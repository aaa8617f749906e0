/* The lanes' side of a memory server over TCP, on the loopback interface, that
 * does as the test says. */
#ifndef RSWAP_TEST_TCP_SERVER_H
#define RSWAP_TEST_TCP_SERVER_H

#include "net.h"
#include "support.h"
#include "wire.h"

#define TCP_SLAB_BYTES (4u << 20)
#define TCP_LANES_MAX  4

enum tcp_behaviour {
	TCP_GOOD,

	/* When a lane joins: */
	TCP_JOIN_REFUSED,
	TCP_JOIN_CLOSED,
	TCP_JOIN_SILENT,
	TCP_JOIN_WRONG, /* answers with another message */

	/* Once a lane has answered AFTER requests: */
	TCP_STATUS, /* an error, then closes */
	TCP_COOKIE, /* another request's */
	TCP_MAGIC,
	TCP_COUNT,     /* one byte more than was asked for */
	TCP_TRUNCATED, /* half a reply, then closes */
	TCP_SHORT,     /* a reply, and half of what was read */
	TCP_CLOSED,
	TCP_SILENT,
	TCP_DRIP, /* a byte every now and then */
	TCP_DEAF, /* does not even receive */
	TCP_HELD, /* well, but not before it is released */
};

struct tcp_lane {
	int fd;
	pthread_t thread;
	unsigned answered;
	bool misbehaves;
	char bounce[TCP_SLAB_BYTES];
};

struct tcp_server {
	enum tcp_behaviour behaviour;
	unsigned after;
	unsigned only_lane; /* 1 and up: the one that misbehaves; 0: all */

	struct net_addr addr;
	int listener;
	pthread_t thread;
	struct tcp_lane lanes[TCP_LANES_MAX];
	size_t n_lanes;
	struct wire_join joined; /* the last */
	atomic_bool stop, released;
	pthread_mutex_t store_lock;
	char store[2][TCP_SLAB_BYTES]; /* slabs 0 and 1 */
};

/* One at a time.  Set the behaviour before it starts. */
extern struct tcp_server tcp_server;

void tcp_server_start(enum tcp_behaviour behaviour, unsigned after);
void tcp_server_stop(void);

#endif
