/* A running rswap-memserver, and a client of it that can also misbehave: for
 * tests.  Whatever goes wrong fails the test, unless said otherwise. */
#ifndef RSWAP_MEMSERVER_CLIENT_H
#define RSWAP_MEMSERVER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

#define SLAB  (1u << 20)
#define SLABS 16
#define PAGE  4096u

struct daemon {
	pid_t pid;
	uint16_t port;
	char dir[64];
	char port_file[80];
	char control[80];
	char pidfile[80];
};

/* Starts PROGRAM with --listen=127.0.0.1:0, files in a directory of its own,
 * and more OPTIONS, NULL at their end; waits until it serves. */
void daemon_start(struct daemon *d, const char *program,
		  const char *const options[]);

/* Waits until it has ended: with status 0, and no file left. */
void daemon_await_end(struct daemon *d);
/* SIGTERM, and that; no session holds a slab. */
void daemon_stop(struct daemon *d);

/* --- what the tests of one program share --- */

extern const char *daemon_program;
extern struct daemon server;
extern uint8_t data[SLAB]; /* no two pages are the same */
extern uint8_t back[SLAB];

/* Starts the server with SLABS slabs of SLAB bytes and more OPTIONS. */
void server_start(const char *const options[]);
int server_stop(void **state); /* a cmocka teardown */

/* Takes the path of the server from the command line, and runs the array of
 * TESTS. */
#define RUN_DAEMON_TESTS(argc, argv, tests)                                    \
	(daemon_program = (argc) > 1 ? (argv)[1] : "rswap-memserver",          \
	 cmocka_run_group_tests(tests, NULL, NULL))

/* --- the status --- */

/* What the control socket answers to COMMAND; valid until the next call. */
const char *daemon_ask(struct daemon *d, const char *command);

/* A number from the status, or how many elements an array has; waiting up to 20
 * seconds for it to be VALUE, or at most VALUE. */
uint64_t daemon_status(struct daemon *d, const char *key);
bool daemon_becomes(struct daemon *d, const char *key, uint64_t value);
bool daemon_falls(struct daemon *d, const char *key, uint64_t value);

struct client {
	const struct daemon *daemon;
	int fd;
	uint32_t cookie;
	uint64_t label; /* of the last slab that was asked for */
	struct wire_welcome welcome;
	struct wire_opened opened;
	uint64_t session;
	/* What RELEASE asked for last; 0 without one. */
	uint32_t release_slabs;
};

/* --- clients --- */

/* A TCP connection, without a word. */
int raw_connect(const struct daemon *d);
/* The same from that address of this machine, such as "127.0.0.2". */
int raw_connect_from(const struct daemon *d, const char *from);

/* Whether the server closes the connection: the end of the stream, or a reset.
 * Waits for that. */
bool is_closed(int fd);

/* FD gets ERROR with the limit WHY, and is closed. */
void assert_turned_away(int fd, const char *why);

/* Up to WELCOME, on a connection. */
void client_greet_on(struct client *c, const struct daemon *d, int fd);
/* Up to OPENED. */
void client_open(struct client *c, const struct daemon *d);
/* The same with a lane, which is returned, and a slab. */
int client_open_slab(struct client *c, const struct daemon *d, uint32_t *slab);
/* Closes LANE, and says BYE. */
void client_close_lane(struct client *c, int lane);
/* Says BYE, or only closes the connection. */
void client_close(struct client *c);
void client_lose(struct client *c);

/* Takes the session of OLD up on a connection of its own; the server's reply.
 */
struct wire_message client_resume(struct client *c, const struct client *old);

/* Waits for RELEASE. */
void client_await_release(struct client *c);

/* Sends a message and returns its reply; a RELEASE before it is noted. */
struct wire_message client_ask(struct client *c, struct wire_message m);
void client_send(struct client *c, struct wire_message *m);

/* The reply's error code, 0 for any other reply. */
uint32_t error_of(const struct wire_message *reply);

/* A slab with a label of its own. */
bool client_alloc(struct client *c, uint32_t *slab);
struct wire_message client_free(struct client *c, uint32_t slab);
struct wire_message client_token(struct client *c);

/* A lane that joined, or -1 where TOKEN is refused. */
int lane_join(const struct daemon *d, const struct wire_token *token);
/* The same on a connection, which is closed where TOKEN is refused. */
int lane_join_on(int fd, const struct wire_token *token);
int lane_open(struct client *c);

/* One request and its reply; the status.  -1: the lane is closed. */
int lane_write(int fd, uint32_t slab, uint64_t offset, const void *buf,
	       uint32_t bytes);
int lane_read(int fd, uint32_t slab, uint64_t offset, void *buf,
	      uint32_t bytes);

/* Begins a WRITE of BYTES and sends only FIRST_BYTES of BUF, at most 32 KiB:
 * afterwards the server is in the middle of it. */
void lane_begin_write(int fd, uint32_t slab, uint32_t bytes, const void *buf,
		      uint32_t first_bytes);

/* The halves of it.  False: the lane is closed. */
bool lane_request(int fd, uint16_t op, uint32_t slab, uint64_t offset,
		  uint32_t bytes, uint64_t cookie);
bool lane_reply(int fd, struct wire_data_reply *reply);
bool send_bytes(int fd, const void *buf, size_t bytes);
bool recv_bytes(int fd, void *buf, size_t bytes);

#endif
