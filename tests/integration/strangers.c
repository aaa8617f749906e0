/* Connections of hosts that no server asked for:
 *
 *   strangers PORT COUNT ADDRESSES EVERY [NAME:HEXKEY]
 *
 * opens COUNT connections at once to PORT of 127.0.0.1, and every EVERY seconds
 * opens those again that the server has ended, until SIGTERM comes.  They come
 * from 127.0.0.1, or, where ADDRESSES is more than 1, from so many other
 * addresses of this machine, in turn.
 *
 * Without a key they say nothing.  With a key a third of them begins a TLS
 * handshake and falls silent, a third has a wrong key, and a third proves the
 * key and then says nothing.
 *
 * Prints at the end how many connections were opened, how many proved the key,
 * and how many the server ended.  Exit status 1 where this machine does not
 * allow them, or the server does not listen.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#define COUNT_MAX 100000
#define EVENTS	  256
#define AT_ONCE	  16
#define NS_PER_S  UINT64_C(1000000000)

enum kind { HALF, WRONG, RIGHT, KINDS };

struct stranger {
	int fd; /* -1: it has to be opened */
	unsigned number;
	enum kind kind;
	bool shaken;		  /* the handshake is over, or given up */
	gnutls_session_t session; /* NULL: it says nothing */
};

struct crowd {
	struct sockaddr_in server;
	unsigned count, addresses;
	uint64_t every_ns;
	struct stranger *strangers;
	gnutls_psk_client_credentials_t keys[KINDS]; /* NULL: no TLS */
	int epoll;
	uint64_t opened, proved, ended;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
	(void)signo;
	stopped = 1;
}

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "strangers: %s: %s\n", what, why);
	exit(1);
}

static void check_tls(int rc)
{
	if (rc < 0)
		die("TLS", gnutls_strerror(rc));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- one of them --- */

/* A reset, so that no port of this machine stays in use. */
static void end(struct stranger *s)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (s->fd < 0)
		return;
	setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(s->fd);
	s->fd = -1;
	if (s->session)
		gnutls_deinit(s->session);
	s->session = NULL;
}

static void bind_from(const struct crowd *crowd, const struct stranger *s)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int yes = 1;

	if (crowd->addresses > 1)
		from.sin_addr.s_addr = htonl((127U << 24) + (1U << 16) +
					     s->number % crowd->addresses);
	/* One port of this machine serves many addresses. */
	setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes,
		   sizeof yes);
	if (bind(s->fd, (struct sockaddr *)&from, sizeof from) < 0)
		die("bind", strerror(errno));
}

static void begin_tls(const struct crowd *crowd, struct stranger *s)
{
	check_tls(gnutls_init(&s->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK |
						   GNUTLS_NO_SIGNAL));
	check_tls(gnutls_priority_set_direct(
		s->session, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+ECDHE-PSK", NULL));
	check_tls(gnutls_credentials_set(s->session, GNUTLS_CRD_PSK,
					 crowd->keys[s->kind]));
	gnutls_transport_set_int(s->session, s->fd);
}

static void open_one(struct crowd *crowd, struct stranger *s)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET,
				     .data.ptr = s };

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		die("socket", strerror(errno));
	bind_from(crowd, s);
	if (connect(s->fd, (const struct sockaddr *)&crowd->server,
		    sizeof crowd->server) < 0 &&
	    errno != EINPROGRESS)
		die("connect", strerror(errno));
	crowd->opened++;
	s->shaken = false;
	if (crowd->keys[0])
		begin_tls(crowd, s);
	if (epoll_ctl(crowd->epoll, EPOLL_CTL_ADD, s->fd, &event) < 0)
		die("epoll_ctl", strerror(errno));
}

/* The first call sends a ClientHello, if the connection is there. */
static void shake(struct crowd *crowd, struct stranger *s)
{
	int rc;

	do {
		rc = gnutls_handshake(s->session);
	} while (rc < 0 && rc != GNUTLS_E_AGAIN && !gnutls_error_is_fatal(rc));
	if (!rc)
		crowd->proved++;
	s->shaken = rc != GNUTLS_E_AGAIN || s->kind == HALF;
}

/* Throws away what the server says; false at the end. */
static bool is_there(const struct stranger *s)
{
	char bytes[4096];
	ssize_t got;

	do {
		got = recv(s->fd, bytes, sizeof bytes, 0);
	} while (got > 0);
	return got < 0 && errno == EAGAIN;
}

static void on_event(struct crowd *crowd, struct stranger *s, uint32_t events)
{
	bool over = events & (EPOLLERR | EPOLLHUP);

	if (!over && s->session && !s->shaken) {
		shake(crowd, s);
		if (!s->shaken)
			return;
	}
	if (over || !is_there(s)) {
		crowd->ended++;
		end(s);
	}
}

/* --- all of them --- */

/* Takes what has happened, and waits for no longer than MS for it. */
static void attend(struct crowd *crowd, int ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(crowd->epoll, events, EVENTS, ms);

	for (int i = 0; i < n; i++)
		on_event(crowd, events[i].data.ptr, events[i].events);
}

/* Each is a host of its own, so none waits until all are opened. */
static void open_all(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->count; i++) {
		if (crowd->strangers[i].fd < 0)
			open_one(crowd, &crowd->strangers[i]);
		if (i % AT_ONCE == 0)
			attend(crowd, 0);
	}
}

static void attend_until(struct crowd *crowd, uint64_t until_ns)
{
	for (uint64_t now; !stopped && (now = now_ns()) < until_ns;)
		attend(crowd, (int)((until_ns - now) / 1000000) + 1);
}

static void raise_file_limit(unsigned count)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max < count + 16)
		die("descriptors", "the limit (ulimit -Hn) is too low");
}

/* --- the command line --- */

static gnutls_psk_client_credentials_t key_of(const char *name, const char *hex)
{
	const gnutls_datum_t key = { (unsigned char *)hex,
				     (unsigned)strlen(hex) };
	gnutls_psk_client_credentials_t found;

	check_tls(gnutls_psk_allocate_client_credentials(&found));
	check_tls(gnutls_psk_set_client_credentials(found, name, &key,
						    GNUTLS_PSK_KEY_HEX));
	return found;
}

static void take_key(struct crowd *crowd, char *text)
{
	char *hex = strchr(text, ':');

	if (!hex || !hex[1])
		die(text, "allowed is NAME:HEXKEY");
	*hex++ = '\0';
	crowd->keys[HALF] = crowd->keys[RIGHT] = key_of(text, hex);
	hex[0] = hex[0] == '0' ? '1' : '0';
	crowd->keys[WRONG] = key_of(text, hex);
}

static unsigned number(const char *text, unsigned max)
{
	char *rest;
	unsigned long value = strtoul(text, &rest, 10);

	if (*rest || rest == text || value < 1 || value > max)
		die(text, "not a number that is allowed");
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	struct crowd crowd = { .server = { .sin_family = AF_INET,
					   .sin_addr.s_addr =
						   htonl(INADDR_LOOPBACK) } };

	if (argc != 5 && argc != 6)
		die("usage",
		    "strangers PORT COUNT ADDRESSES EVERY [NAME:HEXKEY]");
	crowd.server.sin_port = htons((uint16_t)number(argv[1], UINT16_MAX));
	crowd.count = number(argv[2], COUNT_MAX);
	crowd.addresses = number(argv[3], UINT16_MAX);
	crowd.every_ns = number(argv[4], 3600) * NS_PER_S;
	if (argc == 6)
		take_key(&crowd, argv[5]);
	crowd.strangers = calloc(crowd.count, sizeof *crowd.strangers);
	crowd.epoll = epoll_create1(0);
	if (!crowd.strangers || crowd.epoll < 0)
		die("memory", strerror(errno));
	for (unsigned i = 0; i < crowd.count; i++)
		crowd.strangers[i] = (struct stranger){ .fd = -1,
							.number = i,
							.kind = i % KINDS };
	raise_file_limit(crowd.count);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	while (!stopped) {
		uint64_t next = now_ns() + crowd.every_ns;

		open_all(&crowd);
		attend_until(&crowd, next);
	}
	printf("opened %ju proved %ju ended %ju\n", (uintmax_t)crowd.opened,
	       (uintmax_t)crowd.proved, (uintmax_t)crowd.ended);
	for (unsigned i = 0; i < crowd.count; i++)
		end(&crowd.strangers[i]);
	free(crowd.strangers);
	/* The last one is the first one. */
	for (unsigned i = 0; i < RIGHT && crowd.keys[i]; i++)
		gnutls_psk_free_client_credentials(crowd.keys[i]);
	return 0;
}
