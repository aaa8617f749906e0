/* Clients of rswap-nbd on real sockets.  The test makes the turns of the loop,
 * and decides when the servers answer: never, but for nbd_answer_all.  It also
 * decides when time passes, so it is linked with --wrap=clock_gettime. */
#ifndef RSWAP_TEST_NBD_CLIENTS_H
#define RSWAP_TEST_NBD_CLIENTS_H

#include "engine.h"
#include "log.h"
#include "nbd/host.h"
#include "nbd/listener.h"
#include "nbd/protocol.h"
#include "support.h"

#define SIZE   (UINT64_C(256) << 20)
#define PAGE   4096u
#define MEDIUM SLOT_MEDIUM_BYTES
#define LARGE  SLOT_LARGE_BYTES
#define HUGE   (2 * LARGE)

struct nbd_clients {
	struct engine engine;
	struct loop loop;
	struct mapper mapper; /* with its thread */
	struct slots slots;
	struct host host;
	bool mapper_hangs;  /* so nbd_settle does not wait for it */
	unsigned n_clients; /* as the server counts them */
	uint64_t later_ns;
	char last_line[LOG_LINE_BYTES]; /* of the log */
};

extern struct nbd_clients nbd;

/* Of a test.  All clients are gone when it ends. */
int nbd_setup(void **state);
int nbd_teardown(void **state);

/* --- the server --- */

/* Turns until the loop would sleep, and nothing is being mapped.  Fails if that
 * never comes. */
void nbd_settle(void);
/* The servers answer all requests that the loop has. */
void nbd_answer_all(void);
/* So many seconds, with the turns that the loop makes without events. */
void nbd_pass(unsigned seconds);
/* What loop_remove has removed is gone at once. */
void nbd_drop_removed(void);

/* --- a client --- */

/* A connection whose greeting was not read. */
int nbd_dial(void);
/* One that may send requests. */
int nbd_open_client(void);
void nbd_close_client(int fd);
/* A client that has connected to LISTENER, which begins now. */
int nbd_listen(struct listener *listener);
void nbd_unlisten(struct listener *listener);
/* Whether the server has closed it. */
bool nbd_is_closed(int fd);

/* Sends until the server takes no more.  The bytes sent. */
size_t nbd_send_some(int fd, const void *data, size_t bytes);
void nbd_send_all(int fd, const void *data, size_t bytes);
/* Reads all that is there.  The bytes read. */
size_t nbd_drain(int fd);

void nbd_put_option(uint8_t option[NBD_OPTION_BYTES], uint32_t number);
void nbd_put_request(uint8_t out[NBD_REQUEST_BYTES], enum nbd_command command,
		     uint32_t bytes);
/* Sends N requests. */
void nbd_request(int fd, enum nbd_command command, uint32_t bytes, unsigned n);
/* Whether the client gets an answer to a READ. */
bool nbd_is_served(int fd, uint32_t bytes);

#endif
