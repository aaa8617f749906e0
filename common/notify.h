/* Answers to the service manager's watchdog (sd_notify(3)), from a loop: they
 * are sent at once, and nothing waits for the manager.  libsystemd would be one
 * more library in memory that is locked. */
#ifndef RSWAP_NOTIFY_H
#define RSWAP_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
	int fd; /* -1: closed */
	struct sockaddr_un addr;
	socklen_t addr_bytes;
};

#define NOTIFY_CLOSED                                                          \
	(struct notify)                                                        \
	{                                                                      \
		.fd = -1                                                       \
	}

/* The time within which the manager wants an answer of this process; 0: it
 * wants none. */
uint64_t notify_watchdog_ns(void);

/* 0 or a negative errno; -ENOTCONN: there is no manager. */
int notify_open(struct notify *notify);
void notify_close(struct notify *notify);

/* 0 or a negative errno; -EAGAIN: the manager is behind.  Any thread. */
int notify_answer(const struct notify *notify);

#endif
