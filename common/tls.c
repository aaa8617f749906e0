#include "tls.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* SHA-256 is the hash of a pre-shared key unless both sides agree on another,
 * so the ciphers are those that go with it.  GnuTLS wants a signature algorithm
 * for TLS 1.3, although nothing is signed without certificates. */
static const char priorities[] =
	"NONE:+VERS-TLS1.3:+AES-128-GCM:+CHACHA20-POLY1305:+AEAD:+ECDHE-PSK:"
	"+GROUP-X25519:+GROUP-SECP256R1:+SIGN-RSA-PSS-RSAE-SHA256";

/* The first byte of a server that refuses at once: an alert record. */
#define ALERT_BYTE 0x15

/* A ClientHello of ours has some 300 bytes.  This bounds the memory that a
 * stranger makes a server use. */
#define HANDSHAKE_MAX_BYTES 8192

struct tls_context {
	gnutls_priority_t priorities;
	gnutls_psk_client_credentials_t client; /* NULL: a server's */
	gnutls_psk_server_credentials_t server;
	tls_find *find;
	void *find_arg;
	char name[PSK_NAME_BYTES]; /* a client's identity */
};

struct tls {
	const struct tls_context *context;
	gnutls_session_t session;
	int fd;
	int error;    /* of the socket, positive; 0: none */
	bool heard;   /* a byte came */
	bool not_tls; /* and the first of them is not TLS's */
	bool asked;   /* a server was asked for the key of `name` */
	bool known;   /* and has it */
	bool sending; /* a record is under way, and has to be sent to its end */
	char name[PSK_NAME_BYTES];
};

/* --- contexts --- */

/* GnuTLS keeps a random key instead of the one of an unknown name, so that the
 * answer does not tell which names there are. */
#define UNKNOWN_NAME 1

/* Notes the name as far as it may stand in a log line. */
static void note_name(struct tls *tls, const gnutls_datum_t *name)
{
	bool fits = name->size < sizeof tls->name &&
		    !memchr(name->data, '\0', name->size);

	tls->asked = true;
	tls->known = false;
	tls->name[0] = '\0';
	if (!fits)
		return;
	memcpy(tls->name, name->data, name->size);
	tls->name[name->size] = '\0';
	if (!psk_name_ok(tls->name))
		tls->name[0] = '\0';
}

static int give_key(gnutls_session_t session, const gnutls_datum_t *name,
		    gnutls_datum_t *key)
{
	struct tls *tls = gnutls_session_get_ptr(session);
	const struct psk *psk = NULL;

	note_name(tls, name);
	if (tls->name[0])
		psk = tls->context->find(tls->context->find_arg, tls->name);
	if (!psk)
		return UNKNOWN_NAME;
	key->data = gnutls_malloc(psk->key_bytes);
	if (!key->data)
		return -1;
	memcpy(key->data, psk->key, psk->key_bytes);
	key->size = psk->key_bytes;
	tls->known = true;
	return 0;
}

static struct tls_context *context_new(struct error *why)
{
	struct tls_context *context = calloc(1, sizeof *context);
	int rc;

	if (!context) {
		error_set(why, "out of memory");
		return NULL;
	}
	rc = gnutls_priority_init(&context->priorities, priorities, NULL);
	if (!rc)
		return context;
	error_set(why, "TLS: %s", gnutls_strerror(rc));
	free(context);
	return NULL;
}

/* CONTEXT, or NULL with the reason where RC is an error. */
static struct tls_context *context_check(struct tls_context *context, int rc,
					 struct error *why)
{
	if (!rc)
		return context;
	error_set(why, "TLS: %s", gnutls_strerror(rc));
	tls_context_free(context);
	return NULL;
}

struct tls_context *tls_client_new(const struct psk *psk, struct error *why)
{
	const gnutls_datum_t key = { (unsigned char *)psk->key,
				     psk->key_bytes };
	struct tls_context *context = context_new(why);
	int rc;

	if (!context)
		return NULL;
	memcpy(context->name, psk->name, sizeof context->name);
	rc = gnutls_psk_allocate_client_credentials(&context->client);
	if (!rc)
		rc = gnutls_psk_set_client_credentials(
			context->client, psk->name, &key, GNUTLS_PSK_KEY_RAW);
	return context_check(context, rc, why);
}

struct tls_context *tls_client_read(const char *path, const char *identity,
				    struct error *why)
{
	struct tls_context *context = NULL;
	const struct psk *psk;
	struct pskfile file;

	if (pskfile_read(path, &file, why) < 0)
		return NULL;
	psk = pskfile_choose(&file, identity, why);
	if (psk)
		context = tls_client_new(psk, why);
	pskfile_free(&file);
	return context;
}

const char *tls_context_identity(const struct tls_context *context)
{
	return context->name;
}

struct tls_context *tls_server_new(tls_find *find, void *arg, struct error *why)
{
	struct tls_context *context = context_new(why);
	int rc;

	if (!context)
		return NULL;
	context->find = find;
	context->find_arg = arg;
	rc = gnutls_psk_allocate_server_credentials(&context->server);
	if (!rc)
		gnutls_psk_set_server_credentials_function2(context->server,
							    give_key);
	return context_check(context, rc, why);
}

void tls_context_free(struct tls_context *context)
{
	if (!context)
		return;
	if (context->client)
		gnutls_psk_free_client_credentials(context->client);
	if (context->server)
		gnutls_psk_free_server_credentials(context->server);
	gnutls_priority_deinit(context->priorities);
	free(context);
}

/* --- the socket --- */

/* Notes errno, for the caller and for GnuTLS. */
static void note_error(struct tls *tls)
{
	if (errno != EAGAIN && errno != EINTR)
		tls->error = errno;
	gnutls_transport_set_errno(tls->session, errno);
}

static ssize_t pull(gnutls_transport_ptr_t ptr, void *buf, size_t bytes)
{
	struct tls *tls = ptr;
	ssize_t got = recv(tls->fd, buf, bytes, MSG_DONTWAIT);

	if (got > 0 && !tls->heard) {
		unsigned char first = *(unsigned char *)buf;

		tls->heard = true;
		tls->not_tls = first != TLS_FIRST_BYTE && first != ALERT_BYTE;
	}
	if (got < 0)
		note_error(tls);
	return got;
}

static ssize_t push(gnutls_transport_ptr_t ptr, const void *buf, size_t bytes)
{
	struct tls *tls = ptr;
	ssize_t put = send(tls->fd, buf, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put < 0)
		note_error(tls);
	return put;
}

struct tls *tls_open(const struct tls_context *context, int fd,
		     struct error *why)
{
	struct tls *tls = calloc(1, sizeof *tls);
	unsigned end = context->client ? GNUTLS_CLIENT : GNUTLS_SERVER;
	int rc = GNUTLS_E_MEMORY_ERROR;

	if (tls)
		rc = gnutls_init(&tls->session, end | GNUTLS_NONBLOCK |
							GNUTLS_NO_SIGNAL |
							GNUTLS_NO_TICKETS);
	if (rc) {
		free(tls);
		error_set(why, "TLS: %s", gnutls_strerror(rc));
		return NULL;
	}
	tls->context = context;
	tls->fd = fd;
	if (context->client)
		memcpy(tls->name, context->name, sizeof tls->name);
	gnutls_session_set_ptr(tls->session, tls);
	gnutls_transport_set_ptr(tls->session, tls);
	gnutls_transport_set_pull_function(tls->session, pull);
	gnutls_transport_set_push_function(tls->session, push);
	gnutls_handshake_set_max_packet_length(tls->session,
					       HANDSHAKE_MAX_BYTES);
	rc = gnutls_priority_set(tls->session, context->priorities);
	if (!rc)
		rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_PSK,
					    context->client
						    ? (void *)context->client
						    : (void *)context->server);
	if (!rc)
		return tls;
	error_set(why, "TLS: %s", gnutls_strerror(rc));
	tls_close(tls);
	return NULL;
}

void tls_close(struct tls *tls)
{
	if (!tls)
		return;
	gnutls_deinit(tls->session);
	free(tls);
}

/* --- the handshake --- */

static bool is_again(int rc)
{
	return rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED;
}

/* Why a server refuses a client. */
static void tell_client(const struct tls *tls, int rc, struct error *why)
{
	const char *name = tls->name[0] ? tls->name : "(no valid name)";

	if (tls->asked && !tls->known)
		error_set(why, "identity %s is not known here", name);
	else if (tls->asked && rc != GNUTLS_E_FATAL_ALERT_RECEIVED)
		error_set(why, "identity %s does not prove its key (%s)", name,
			  gnutls_strerror(rc));
	else if (rc == GNUTLS_E_UNSUPPORTED_VERSION_PACKET)
		error_set(why, "it does not offer TLS 1.3");
	else if (rc == GNUTLS_E_NO_CIPHER_SUITES ||
		 rc == GNUTLS_E_INSUFFICIENT_CREDENTIALS)
		error_set(why, "it offers no pre-shared key that fits");
	else
		error_set(why, "TLS: %s", gnutls_strerror(rc));
}

/* Why a server did not take this client. */
static void tell_server(const struct tls *tls, int rc, struct error *why)
{
	if (tls->not_tls)
		error_set(why, "the server does not speak TLS: it has no keys "
			       "(its --psk-file), so no psk-file goes with it");
	else if (rc == GNUTLS_E_FATAL_ALERT_RECEIVED)
		error_set(why,
			  "the server refuses identity %s: it does not know "
			  "it, or has another key for it",
			  tls->name);
	else
		error_set(why, "TLS: %s", gnutls_strerror(rc));
}

static int fail_handshake(struct tls *tls, int rc, struct error *why)
{
	if (tls->error) {
		error_set(why, "in the TLS handshake: %s",
			  strerror(tls->error));
		return -tls->error;
	}
	if (rc == GNUTLS_E_PREMATURE_TERMINATION) {
		error_set(why, "the other side closed the connection in the "
			       "TLS handshake");
		return -ECONNRESET;
	}
	if (tls->context->client)
		tell_server(tls, rc, why);
	else
		tell_client(tls, rc, why);
	gnutls_alert_send_appropriate(tls->session, rc);
	return -EPROTO;
}

/* The priorities allow nothing else; a version of GnuTLS that sees that
 * otherwise must not let anybody in. */
static bool is_as_wanted(struct tls *tls)
{
	const char *name = tls->name;

	if (!tls->context->client)
		name = gnutls_psk_server_get_username(tls->session);
	return gnutls_protocol_get_version(tls->session) == GNUTLS_TLS1_3 &&
	       gnutls_auth_get_type(tls->session) == GNUTLS_CRD_PSK && name &&
	       !strcmp(name, tls->name);
}

int tls_handshake(struct tls *tls, struct error *why)
{
	/* No error is gone past: whoever sends records that GnuTLS only warns
	 * of would keep this thread for as long as they come. */
	int rc = gnutls_handshake(tls->session);

	if (is_again(rc))
		return -EAGAIN;
	if (rc < 0)
		return fail_handshake(tls, rc, why);
	if (is_as_wanted(tls))
		return 0;
	error_set(why, "the TLS handshake proved no pre-shared key");
	return -EPROTO;
}

short tls_events(const struct tls *tls)
{
	return gnutls_record_get_direction(tls->session) ? POLLOUT : POLLIN;
}

/* Finished ends the server's answer.  A request for another key share
 * (HelloRetryRequest) is none. */
bool tls_is_answered(const struct tls *tls)
{
	return gnutls_handshake_get_last_out(tls->session) ==
	       GNUTLS_HANDSHAKE_FINISHED;
}

const char *tls_identity(const struct tls *tls)
{
	return tls->name;
}

/* --- bytes --- */

static ssize_t record_error(const struct tls *tls, ssize_t rc)
{
	if (is_again((int)rc))
		return -EAGAIN;
	if (tls->error)
		return -tls->error;
	return -EBADMSG;
}

ssize_t tls_read(struct tls *tls, void *buf, size_t bytes)
{
	ssize_t got = gnutls_record_recv(tls->session, buf, bytes);

	/* The messages say where they end, so a stream that is cut off loses
	 * nothing that was whole. */
	if (got == GNUTLS_E_PREMATURE_TERMINATION)
		return 0;
	return got < 0 ? record_error(tls, got) : got;
}

ssize_t tls_write(struct tls *tls, const void *buf, size_t bytes)
{
	ssize_t put;

	/* GnuTLS has the record already, and only sends the rest of it. */
	if (tls->sending)
		put = gnutls_record_send(tls->session, NULL, 0);
	else
		put = gnutls_record_send(tls->session, buf, bytes);
	tls->sending = is_again((int)put);
	return put < 0 ? record_error(tls, put) : put;
}

bool tls_pending(const struct tls *tls)
{
	return gnutls_record_check_pending(tls->session) > 0;
}

void tls_end_writing(struct tls *tls)
{
	gnutls_bye(tls->session, GNUTLS_SHUT_WR);
}
