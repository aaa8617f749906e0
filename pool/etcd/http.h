/* POST requests over HTTP, by libcurl: one call at a time, and beside it
 * streams, answers that go on.  The thread that opened it uses it, except
 * where a function says otherwise.  No call waits beyond its deadline. */
#ifndef RSWAP_ETCD_HTTP_H
#define RSWAP_ETCD_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "net.h"

/* Paths of PEM files, the caller's.  All NULL: plain HTTP. */
struct http_tls {
	const char *ca; /* whose signature the server's certificate has */
	const char *cert, *key; /* of the client, or both NULL */
};

/* Where a request goes. */
struct http_place {
	struct net_name name;
	/* What the name means: libcurl would start a thread to look it up. */
	struct net_addrs addrs;
};

struct http_answer {
	long status;
	char *text; /* ends with a NUL; the caller frees it */
	size_t bytes;
};

struct http;

/* Reads no file.  Before any other thread runs, as libcurl wants it.  0 or a
 * negative errno. */
int http_open(struct http **http, const struct http_tls *tls,
	      struct error *why);
/* NULL is allowed. */
void http_close(struct http *http);

/* Each request from now on has TOKEN with it.  0, or -EREMOTEIO with WHY: it is
 * longer than HTTP_TOKEN_MAX, and there is none. */
#define HTTP_TOKEN_MAX 4095
int http_set_token(struct http *http, const char *token, struct error *why);
/* None has a token from now on. */
void http_clear_token(struct http *http);

/* Sends BODY to PATH at PLACE.  0, with an ANSWER of any status; or a negative
 * errno: -ECANCELED after http_cancel, -ETIMEDOUT, -EIO, -EMSGSIZE: the answer
 * has more than ETCD_ANSWER_MAX_BYTES. */
int http_post(struct http *http, const struct http_place *place,
	      const char *path, const char *body, uint64_t deadline_ns,
	      struct http_answer *answer, struct error *why);

/* --- the streams --- */

/* WHICH is less. */
#define HTTP_STREAMS 3

/* Begins a stream, in the place of an earlier one.  It has no deadline.  TCP
 * notices a host that vanished, within seconds. */
int http_stream_begin(struct http *http, unsigned which,
		      const struct http_place *place, const char *path,
		      const char *body, struct error *why);
/* The next line of it, without its newline, or NULL: none is there now. It
 * stays until the next call.  http_pause receives lines. */
const char *http_stream_line(struct http *http, unsigned which, size_t *bytes);
/* 0: it goes on; or it has ended, and WHY says why: -EMSGSIZE: a line is too
 * long; -EIO.  There may be lines left. */
int http_stream_ended(const struct http *http, unsigned which,
		      struct error *why);
void http_stream_end(struct http *http, unsigned which);

/* --- waiting --- */

/* Sleeps until a stream has a line or ends, http_wake, http_cancel, or
 * UNTIL_NS. */
void http_pause(struct http *http, uint64_t until_ns);
/* The same, whatever streams and http_wake say meanwhile. */
void http_rest(struct http *http, uint64_t until_ns);
/* Ends the pause, or the next one.  Any thread. */
void http_wake(struct http *http);
/* Ends what is waited for, and all that is begun until http_renew.  Any thread.
 */
void http_cancel(struct http *http);
bool http_is_canceled(const struct http *http);
void http_renew(struct http *http);

#endif
