/* A running rswap-memserver, and a client of it that can also misbehave: for
 * tests.  Whatever goes wrong fails the test, unless said otherwise. */
#ifndef RSWAP_MEMSERVER_CLIENT_H
#define RSWAP_MEMSERVER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "wire.h"

struct daemon {
	pid_t pid;
	uint16_t port;
	char dir[64];
	char port_file[80];
	char control[80];
	char pidfile[80];
};

/* Starts PROGRAM with --listen=127.0.0.1:0, files in a directory of its own,
 * and up to four more options (NULL: none); waits until it serves. */
void daemon_start(struct daemon *d, const char *program, const char *option1,
		  const char *option2, const char *option3,
		  const char *option4);

/* SIGTERM: it must end with status 0 and leave no file. */
void daemon_stop(struct daemon *d);

/* A number from the status; waiting up to 5 seconds for it to be VALUE, or at
 * most VALUE. */
uint64_t daemon_status(struct daemon *d, const char *key);
bool daemon_becomes(struct daemon *d, const char *key, uint64_t value);
bool daemon_falls(struct daemon *d, const char *key, uint64_t value);

struct client {
	const struct daemon *daemon;
	int fd;
	uint32_t cookie;
	struct wire_welcome welcome;
	uint64_t session;
};

/* A TCP connection, without a word. */
int raw_connect(const struct daemon *d);

/* Up to OPENED. */
void client_open(struct client *c, const struct daemon *d);
void client_close(struct client *c);

/* Sends a message and returns its reply. */
struct wire_message client_ask(struct client *c, struct wire_message m);
void client_send(struct client *c, struct wire_message *m);

/* The reply's error code, 0 for any other reply. */
uint32_t error_of(const struct wire_message *reply);

bool client_alloc(struct client *c, uint32_t *slab);
struct wire_message client_free(struct client *c, uint32_t slab);
struct wire_message client_token(struct client *c);

/* A lane that joined, or -1 where TOKEN is refused. */
int lane_join(const struct daemon *d, const struct wire_token *token);
int lane_open(struct client *c);

/* One request and its reply; the status.  -1: the lane is closed. */
int lane_write(int fd, uint32_t slab, uint64_t offset, const void *buf,
	       uint32_t bytes);
int lane_read(int fd, uint32_t slab, uint64_t offset, void *buf,
	      uint32_t bytes);

/* The halves of it.  False: the lane is closed. */
bool lane_request(int fd, uint16_t op, uint32_t slab, uint64_t offset,
		  uint32_t bytes, uint64_t cookie);
bool lane_reply(int fd, struct wire_data_reply *reply);
bool send_bytes(int fd, const void *buf, size_t bytes);
bool recv_bytes(int fd, void *buf, size_t bytes);

#endif
