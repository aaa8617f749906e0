#include "http.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "curl.h"

/* How long a connection may take, so that the other servers have their turn. */
#define CONNECT_MS 3000
/* After this time without an answer TCP gives a connection up. */
#define SILENT_NS (10 * NS_PER_S)
/* libcurl's timers are rounded up to this; it also has its own needs. */
#define POLL_MS 500

struct text {
	char *at; /* [room] */
	size_t bytes, room;
	bool is_too_large; /* more came than is taken */
};

/* One transfer. */
struct exchange {
	CURL *curl;
	struct curl_slist *headers, *addresses;
	char *body;
	struct text in;
	char detail[CURL_ERROR_SIZE];
	bool running;
	CURLcode result; /* if not running */
};

struct stream {
	struct exchange exchange;
	size_t line; /* the next line begins here */
};

struct http {
	CURLM *multi;
	struct http_tls tls;
	char token[HTTP_TOKEN_MAX + 1];
	struct exchange call;
	struct stream streams[HTTP_STREAMS];
	atomic_bool woken, canceled;
};

/* The same for all clients of the process. */
static struct curl_library lib;

/* --- life --- */

int http_open(struct http **http, const struct http_tls *tls, struct error *why)
{
	struct http *h;
	int rc = curl_load(&lib, why);

	if (rc)
		return rc;
	h = calloc(1, sizeof *h);
	if (!h || lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		error_set(why, "cannot start libcurl");
		free(h);
		return -ENOMEM;
	}
	h->tls = *tls;
	h->multi = lib.multi_init();
	if (!h->multi) {
		error_set(why, "cannot start libcurl");
		http_close(h);
		return -ENOMEM;
	}
	*http = h;
	return 0;
}

static void exchange_end(struct http *http, struct exchange *exchange)
{
	if (exchange->curl) {
		if (exchange->running)
			lib.multi_remove_handle(http->multi, exchange->curl);
		lib.easy_cleanup(exchange->curl);
	}
	lib.slist_free_all(exchange->headers);
	lib.slist_free_all(exchange->addresses);
	if (exchange->body)
		explicit_bzero(exchange->body, strlen(exchange->body));
	free(exchange->body);
	free(exchange->in.at);
	*exchange = (struct exchange){ 0 };
}

void http_close(struct http *http)
{
	if (!http)
		return;
	exchange_end(http, &http->call);
	for (unsigned i = 0; i < HTTP_STREAMS; i++)
		http_stream_end(http, i);
	if (http->multi)
		lib.multi_cleanup(http->multi);
	explicit_bzero(http->token, sizeof http->token);
	free(http);
	lib.global_cleanup();
}

void http_clear_token(struct http *http)
{
	explicit_bzero(http->token, sizeof http->token);
}

int http_set_token(struct http *http, const char *token, struct error *why)
{
	size_t n = strlen(token);

	http_clear_token(http);
	if (n <= HTTP_TOKEN_MAX) {
		memcpy(http->token, token, n);
		return 0;
	}
	error_set(why,
		  "etcd's token has %zu bytes, and %u at most are allowed: a "
		  "signature that is shorter makes it shorter (--auth-token)",
		  n, HTTP_TOKEN_MAX);
	return -EREMOTEIO;
}

/* --- a transfer --- */

static size_t take_bytes(char *bytes, size_t size, size_t n, void *arg)
{
	struct text *text = arg;
	size_t wanted;

	n *= size;
	wanted = text->bytes + n + 1;
	text->is_too_large = wanted > ETCD_ANSWER_MAX_BYTES;
	if (text->is_too_large)
		return 0;
	if (wanted > text->room) {
		size_t room = 2 * wanted;
		char *more = realloc(text->at, room);

		if (!more)
			return 0;
		text->at = more;
		text->room = room;
	}
	memcpy(text->at + text->bytes, bytes, n);
	text->bytes += n;
	text->at[text->bytes] = '\0';
	return n;
}

static int tune(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	(void)arg;
	(void)purpose;
	net_tune(fd, SILENT_NS);
	return CURL_SOCKOPT_OK;
}

static bool add(struct curl_slist **list, const char *text)
{
	struct curl_slist *longer = lib.slist_append(*list, text);

	if (longer)
		*list = longer;
	return longer;
}

/* "etcd:2379:10.0.0.1,10.0.0.2", for CURLOPT_RESOLVE. */
static bool add_addresses(struct exchange *exchange,
			  const struct http_place *place)
{
	char text[sizeof place->name.host + 16 +
		  NET_ADDRS_MAX * sizeof(struct net_text)];
	size_t used =
		(size_t)snprintf(text, sizeof text, "%s:%u:", place->name.host,
				 place->name.port);

	if (net_host_is_numeric(place->name.host))
		return true;
	for (unsigned i = 0; i < place->addrs.n; i++) {
		struct net_text one = net_addr_format(&place->addrs.addr[i]);

		*strrchr(one.text, ':') = '\0'; /* without the port */
		used += (size_t)snprintf(text + used, sizeof text - used,
					 "%s%s", i ? "," : "", one.text);
	}
	return add(&exchange->addresses, text);
}

static bool add_headers(const struct http *http, struct exchange *exchange)
{
	char token[sizeof http->token + sizeof "Authorization: "];

	snprintf(token, sizeof token, "Authorization: %s", http->token);
	/* A server without a leader ends the stream, and does not keep it
	 * silent. */
	return add(&exchange->headers, "Content-Type: application/json") &&
	       add(&exchange->headers, "Grpc-Metadata-hasleader: true") &&
	       (!*http->token || add(&exchange->headers, token));
}

static void set_tls(CURL *curl, const struct http_tls *tls)
{
	lib.easy_setopt(curl, CURLOPT_CAINFO, tls->ca);
	lib.easy_setopt(curl, CURLOPT_CAPATH, NULL);
	lib.easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
	if (tls->cert) {
		lib.easy_setopt(curl, CURLOPT_SSLCERT, tls->cert);
		lib.easy_setopt(curl, CURLOPT_SSLKEY, tls->key);
	}
}

static void set_options(struct http *http, struct exchange *exchange)
{
	CURL *curl = exchange->curl;

	lib.easy_setopt(curl, CURLOPT_POSTFIELDS, exchange->body);
	lib.easy_setopt(curl, CURLOPT_HTTPHEADER, exchange->headers);
	lib.easy_setopt(curl, CURLOPT_RESOLVE, exchange->addresses);
	lib.easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
	lib.easy_setopt(curl, CURLOPT_WRITEDATA, &exchange->in);
	lib.easy_setopt(curl, CURLOPT_ERRORBUFFER, exchange->detail);
	lib.easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, tune);
	lib.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	lib.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* The environment has no say. */
	lib.easy_setopt(curl, CURLOPT_PROXY, "");
	lib.easy_setopt(curl, CURLOPT_HTTP_VERSION,
			(long)CURL_HTTP_VERSION_1_1);
	if (http->tls.ca)
		set_tls(curl, &http->tls);
}

static bool set_url(struct http *http, struct exchange *exchange,
		    const struct http_place *place, const char *path)
{
	char url[sizeof place->name.host + 96];

	snprintf(url, sizeof url, "http%s://%s%s", http->tls.ca ? "s" : "",
		 net_name_format(&place->name).text, path);
	return lib.easy_setopt(exchange->curl, CURLOPT_URL, url) == CURLE_OK;
}

static int begin(struct http *http, struct exchange *exchange,
		 const struct http_place *place, const char *path,
		 const char *body, struct error *why)
{
	exchange_end(http, exchange);
	exchange->curl = lib.easy_init();
	exchange->body = strdup(body);
	if (exchange->curl && exchange->body && add_headers(http, exchange) &&
	    add_addresses(exchange, place) &&
	    set_url(http, exchange, place, path)) {
		set_options(http, exchange);
		if (lib.multi_add_handle(http->multi, exchange->curl) ==
		    CURLM_OK) {
			exchange->running = true;
			return 0;
		}
	}
	exchange_end(http, exchange);
	error_set(why, "out of memory");
	return -ENOMEM;
}

/* --- waiting --- */

static struct exchange *exchange_of(struct http *http, const CURL *curl)
{
	for (unsigned i = 0; i < HTTP_STREAMS; i++) {
		if (http->streams[i].exchange.curl == curl)
			return &http->streams[i].exchange;
	}
	return &http->call;
}

static void note_end(struct http *http, CURL *curl, CURLcode result)
{
	struct exchange *exchange = exchange_of(http, curl);

	lib.multi_remove_handle(http->multi, curl);
	exchange->running = false;
	exchange->result = result;
}

/* Moves what can be moved. */
static void turn(struct http *http)
{
	int running, left;
	CURLMsg *message;

	lib.multi_perform(http->multi, &running);
	while ((message = lib.multi_info_read(http->multi, &left))) {
		if (message->msg == CURLMSG_DONE)
			note_end(http, message->easy_handle,
				 message->data.result);
	}
}

static void sleep_until(struct http *http, uint64_t until_ns)
{
	int ms = clock_left_ms(until_ns);

	lib.multi_poll(http->multi, NULL, 0, ms < POLL_MS ? ms : POLL_MS, NULL);
}

void http_wake(struct http *http)
{
	atomic_store(&http->woken, true);
	lib.multi_wakeup(http->multi);
}

void http_cancel(struct http *http)
{
	atomic_store(&http->canceled, true);
	lib.multi_wakeup(http->multi);
}

bool http_is_canceled(const struct http *http)
{
	return atomic_load(&http->canceled);
}

void http_renew(struct http *http)
{
	atomic_store(&http->canceled, false);
}

static bool has_line(const struct stream *stream)
{
	const struct text *in = &stream->exchange.in;

	return in->bytes > stream->line &&
	       memchr(in->at + stream->line, '\n', in->bytes - stream->line);
}

static unsigned count_running(const struct http *http)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HTTP_STREAMS; i++)
		n += http->streams[i].exchange.running;
	return n;
}

static bool any_has_line(const struct http *http)
{
	bool any = false;

	for (unsigned i = 0; i < HTTP_STREAMS; i++)
		any |= has_line(&http->streams[i]);
	return any;
}

void http_pause(struct http *http, uint64_t until_ns)
{
	unsigned running = count_running(http);

	for (;;) {
		turn(http);
		if (any_has_line(http) || count_running(http) < running ||
		    atomic_load(&http->canceled) ||
		    atomic_exchange(&http->woken, false) ||
		    !clock_left_ns(until_ns))
			return;
		sleep_until(http, until_ns);
	}
}

void http_rest(struct http *http, uint64_t until_ns)
{
	while (!atomic_load(&http->canceled) && clock_left_ns(until_ns)) {
		turn(http);
		sleep_until(http, until_ns);
	}
}

/* What came of a transfer that has ended. */
static int judge_end(const struct exchange *exchange, struct error *why)
{
	if (exchange->result == CURLE_OK)
		return 0;
	if (exchange->in.is_too_large) {
		error_set(why, "the answer has more than %u MiB",
			  ETCD_ANSWER_MAX_BYTES >> 20);
		return -EMSGSIZE;
	}
	error_set(why, "%s",
		  *exchange->detail ? exchange->detail
				    : lib.easy_strerror(exchange->result));
	return exchange->result == CURLE_OPERATION_TIMEDOUT ? -ETIMEDOUT : -EIO;
}

/* --- a call --- */

static int wait_call(struct http *http, uint64_t deadline_ns, struct error *why)
{
	struct exchange *call = &http->call;

	while (call->running) {
		turn(http);
		if (!call->running)
			break;
		if (atomic_load(&http->canceled)) {
			error_set(why, "it was canceled");
			return -ECANCELED;
		}
		if (!clock_left_ns(deadline_ns)) {
			error_set(why, "no answer in time");
			return -ETIMEDOUT;
		}
		sleep_until(http, deadline_ns);
	}
	return judge_end(call, why);
}

int http_post(struct http *http, const struct http_place *place,
	      const char *path, const char *body, uint64_t deadline_ns,
	      struct http_answer *answer, struct error *why)
{
	int rc = begin(http, &http->call, place, path, body, why);

	*answer = (struct http_answer){ 0 };
	if (!rc)
		rc = wait_call(http, deadline_ns, why);
	if (!rc) {
		lib.easy_getinfo(http->call.curl, CURLINFO_RESPONSE_CODE,
				 &answer->status);
		answer->text = http->call.in.at;
		answer->bytes = http->call.in.bytes;
		http->call.in.at = NULL;
		if (!answer->text)
			answer->text = calloc(1, 1);
		if (!answer->text) {
			error_set(why, "out of memory");
			rc = -ENOMEM;
		}
	}
	exchange_end(http, &http->call);
	return rc;
}

/* --- the streams --- */

int http_stream_begin(struct http *http, unsigned which,
		      const struct http_place *place, const char *path,
		      const char *body, struct error *why)
{
	struct stream *stream = &http->streams[which];

	stream->line = 0;
	return begin(http, &stream->exchange, place, path, body, why);
}

/* Forgets the lines that were taken. */
static void shift(struct stream *stream)
{
	struct text *in = &stream->exchange.in;

	if (!stream->line)
		return;
	in->bytes -= stream->line;
	memmove(in->at, in->at + stream->line, in->bytes + 1);
	stream->line = 0;
}

const char *http_stream_line(struct http *http, unsigned which, size_t *bytes)
{
	struct stream *stream = &http->streams[which];
	struct text *in = &stream->exchange.in;
	char *line, *newline;

	if (!has_line(stream)) {
		shift(stream);
		return NULL;
	}
	line = in->at + stream->line;
	newline = memchr(line, '\n', in->bytes - stream->line);
	*newline = '\0';
	*bytes = (size_t)(newline - line);
	stream->line += *bytes + 1;
	return line;
}

int http_stream_ended(const struct http *http, unsigned which,
		      struct error *why)
{
	const struct exchange *stream = &http->streams[which].exchange;
	int rc;

	if (stream->running)
		return 0;
	rc = judge_end(stream, why);
	if (!rc)
		error_set(why, "etcd ended the watch");
	return rc == -EMSGSIZE ? rc : -EIO;
}

void http_stream_end(struct http *http, unsigned which)
{
	http->streams[which].line = 0;
	exchange_end(http, &http->streams[which].exchange);
}
