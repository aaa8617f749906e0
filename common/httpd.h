/* A small HTTP server for figures: read-only pages on one address, by
 * libmicrohttpd.
 *
 * It must never be in the way of what the program is for.  One helper thread
 * (helper.h) does everything, and uses a quarter of a processor at most.  There
 * are HTTPD_CONNECTIONS connections at a time, each for one request.  A
 * connection has HTTPD_REQUEST_S from accept to the end of its answer; when
 * there is no place for another one, the oldest is cut off.  A request has
 * HTTPD_POOL_BYTES for its line and headers.
 *
 * There is no authentication. */
#ifndef RSWAP_HTTPD_H
#define RSWAP_HTTPD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "net.h"

#define HTTPD_CONNECTIONS 16
#define HTTPD_REQUEST_S	  10
#define HTTPD_POOL_BYTES  (16u * 1024)
/* Buffers for answers.  One is kept free for the next request. */
#define HTTPD_ANSWERS 3

struct httpd;

struct httpd_page {
	const char *path; /* "/metrics" */
	const char *type; /* Content-Type */
	/* Constant content, or NULL: write is called for each request. */
	const char *text;
	/* The server's thread calls it.  False: the page cannot be had now. */
	bool (*write)(FILE *out, void *arg);
};

struct httpd_config {
	const struct httpd_page *pages; /* [n_pages], the caller's */
	unsigned n_pages;
	void *arg; /* of write */
	/* The largest page that is written, in a program whose heap must not
	 * grow for a client: its memory is allocated by httpd_start.  0: each
	 * answer is allocated. */
	size_t page_bytes;
};

/* Where a server listens.  A zeroed one is closed. */
struct httpd_socket {
	bool open; /* else: nowhere */
	int fd;
	struct net_addr addr;
};

/* "PORT", for 127.0.0.1, or "HOST:PORT", "[IPV6]:PORT"; port 0 picks a free
 * one.  False for anything else. */
bool httpd_name_parse(const char *text, struct net_name *name);
/* What is allowed, for messages. */
#define HTTPD_NAME_ALLOWED                                                     \
	"HOST:PORT, [IPV6]:PORT, or PORT alone for 127.0.0.1, with a port "    \
	"from 0 to 65535"

/* Listens on the first address of NAME that allows it.  0 or a negative errno.
 */
int httpd_listen(const struct net_name *name, struct httpd_socket *socket,
		 struct error *why);
void httpd_close(struct httpd_socket *socket);

/* The memory that a server with that httpd_config.page_bytes takes, at most. */
uint64_t httpd_memory_bytes(size_t page_bytes);

/* Starts the thread.  SOCKET and what CONFIG points to must outlive the server.
 * NULL and WHY on failure. */
struct httpd *httpd_start(const struct httpd_socket *socket,
			  const struct httpd_config *config, struct error *why);
/* Drops the clients and ends the thread.  Does nothing for NULL. */
void httpd_stop(struct httpd *server);

#endif
