/* TLS 1.3 with pre-shared keys on a connected stream socket, by GnuTLS.
 *
 * Both ends prove that they have the key of the identity which the client
 * names.  The session keys come from an (elliptic curve) Diffie-Hellman
 * exchange too, so a key that is stolen later opens no recorded connection.
 * There are no certificates, no session tickets, no early data, no older
 * versions.
 *
 * No function waits: where the socket is not ready, it returns -EAGAIN, and
 * tls_events tells what to wait for.  Use stream.h for a connection that may or
 * may not have TLS.
 *
 * Any thread, one at a time for a session.  Sessions of several threads may
 * share a context. */
#ifndef RSWAP_TLS_H
#define RSWAP_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "pskfile.h"

/* The first byte that a TLS client sends: a handshake record. */
#define TLS_FIRST_BYTE 0x16

/* What the sessions of a client or of a server have in common. */
struct tls_context;

/* The end of a TLS connection. */
struct tls;

/* For a client with that key, which is copied.  NULL with the reason. */
struct tls_context *tls_client_new(const struct psk *psk, struct error *why);

/* The same with the key of IDENTITY in the file at PATH; NULL: the file's only
 * key.  The reason names neither. */
struct tls_context *tls_client_read(const char *path, const char *identity,
				    struct error *why);

/* The name of a client's key. */
const char *tls_context_identity(const struct tls_context *context);

/* For a server.  FIND gives the key of a client's name, or NULL; it is called
 * by tls_handshake, and what it returns is copied at once. */
typedef const struct psk *tls_find(void *arg, const char *name);
struct tls_context *tls_server_new(tls_find *find, void *arg,
				   struct error *why);

/* Wipes the keys.  No session uses it any more.  NULL is allowed. */
void tls_context_free(struct tls_context *context);

/* A session on FD, which stays the caller's.  Nothing is sent yet.  NULL with
 * the reason. */
struct tls *tls_open(const struct tls_context *context, int fd,
		     struct error *why);

/* Goes on with the handshake: 0 when it is done, -EAGAIN when it has to be
 * called again after tls_events.  Any other negative errno is the end, with a
 * reason that names the identity; the other side was sent an alert. */
int tls_handshake(struct tls *tls, struct error *why);

/* POLLIN or POLLOUT: what the last call that returned -EAGAIN waits for. */
short tls_events(const struct tls *tls);

/* Whether this end, a server, has answered the client's first message.  It
 * answers one that was made with the key of the identity in there, whether the
 * client made it, or heard it from another client and repeats it. */
bool tls_is_answered(const struct tls *tls);

/* The name of the identity that both sides proved, after the handshake. */
const char *tls_identity(const struct tls *tls);

/* How many bytes were read or written; reading 0 is the end.  -EAGAIN;
 * -EBADMSG: a record does not authenticate; another negative errno: the
 * connection is over.  A write that returned -EAGAIN must be repeated with the
 * same bytes, and may be repeated with more behind them. */
ssize_t tls_read(struct tls *tls, void *buf, size_t bytes);
ssize_t tls_write(struct tls *tls, const void *buf, size_t bytes);

/* Whether tls_read has bytes that the socket does not show any more. */
bool tls_pending(const struct tls *tls);

/* Tells the other side that no more bytes come, if the socket takes it now. */
void tls_end_writing(struct tls *tls);

/* Frees it.  NULL is allowed. */
void tls_close(struct tls *tls);

#endif
