#include "etcd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "http.h"
#include "login.h"
#include "request.h"

#define BACKOFF_FIRST_NS (250 * NS_PER_MS)
/* The longest wait, half as much again, is less than a lease lasts. */
#define BACKOFF_MAX_NS (6 * NS_PER_S)

_Static_assert(ETCD_WATCHES <= HTTP_STREAMS, "each watch is a stream");

/* Keys in an answer: of some hundred bytes each. */
#define RANGE_KEYS 1000

/* A name service may be gone too, and then takes some ten seconds to say so.
 * So a server that fails once is tried at the same address again, and only
 * then looked up; and it keeps its old address where that fails. */
#define MISSES_MAX 2

struct endpoint {
	struct http_place place; /* addrs.n 0: no address is known yet */
	struct error why;	 /* why not */
	unsigned misses;	 /* at this address, in a row */
};

struct watch {
	unsigned at;	      /* the endpoint */
	bool is_open;	      /* a stream is there, which may have ended */
	bool is_left;	      /* its server did not answer a call since */
	bool is_created;      /* etcd has said that it begins */
	uint64_t begin_by_ns; /* when etcd has to have said so */
};

struct etcd {
	struct http *http;
	bool has_tls;
	struct endpoint endpoints[ETCD_ENDPOINTS_MAX];
	unsigned n, current;
	struct watch watches[ETCD_WATCHES];
	struct login login; /* no user: none */
	bool has_token;
	bool no_auth;	   /* this cluster has no users */
	unsigned failures; /* in a row */
};

/* --- life --- */

/* As wide as times are: 32 bits of nanoseconds are four seconds. */
static uint64_t draw(void)
{
	uint64_t n = 0;

	if (getrandom(&n, sizeof n, GRND_NONBLOCK) != sizeof n)
		n = clock_now_ns();
	return n;
}

static bool check_file(const char *path, struct error *why)
{
	if (!path || access(path, R_OK) == 0)
		return true;
	error_set(why, "%.150s: %s", path, strerror(errno));
	return false;
}

static void look_up(struct endpoint *endpoint)
{
	struct http_place *place = &endpoint->place;
	struct net_addrs found;

	if (place->addrs.n && endpoint->misses < MISSES_MAX)
		return;
	endpoint->misses = 0;
	if (!net_resolve(&place->name, &found, &endpoint->why))
		place->addrs = found;
}

static int read_files(struct etcd *etcd, const struct etcd_config *config,
		      struct error *why)
{
	struct error detail;
	int rc;

	if (!check_file(config->ca, why) || !check_file(config->cert, why) ||
	    !check_file(config->key, why))
		return -EACCES;
	rc = config->login ? login_read(config->login, &etcd->login, &detail)
			   : 0;
	if (rc)
		error_set(why, "%.100s: %.150s", config->login, detail.text);
	return rc;
}

int etcd_open(struct etcd **etcd, const struct etcd_config *config,
	      struct error *why)
{
	const struct http_tls tls = { config->ca, config->cert, config->key };
	struct etcd *e = calloc(1, sizeof *e);
	int rc;

	if (!e) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	e->has_tls = config->ca;
	e->n = config->n_endpoints;
	/* Not all clients of a cluster at its first server. */
	e->current = (unsigned)(draw() % e->n);
	rc = read_files(e, config, why);
	if (!rc)
		rc = http_open(&e->http, &tls, why);
	if (rc) {
		etcd_close(e);
		return rc;
	}
	for (unsigned i = 0; i < e->n; i++) {
		e->endpoints[i].place.name = config->endpoints[i];
		look_up(&e->endpoints[i]);
	}
	*etcd = e;
	return 0;
}

void etcd_close(struct etcd *etcd)
{
	if (!etcd)
		return;
	http_close(etcd->http);
	explicit_bzero(etcd, sizeof *etcd);
	free(etcd);
}

/* --- one server --- */

/* Whoever has the wire has a password that is sent without TLS. */
static int check_password(const struct etcd *etcd, const struct endpoint *at,
			  struct error *why)
{
	const struct net_addrs *addrs = &at->place.addrs;

	if (!*etcd->login.user || etcd->has_tls)
		return 0;
	for (unsigned i = 0; i < addrs->n; i++) {
		if (net_addr_is_loopback(&addrs->addr[i]))
			continue;
		error_set(why,
			  "a password is sent to another machine only over "
			  "TLS: give a CA");
		return -EACCES;
	}
	return 0;
}

/* The errno of an error that etcd tells. */
static int errno_of(int code)
{
	switch (code) {
	case ETCD_UNAVAILABLE:
	case ETCD_TOO_LATE:
		return -EIO;
	case ETCD_NOT_FOUND:
		return -ENOENT;
	case ETCD_DENIED:
	case ETCD_TOKEN:
		return -EACCES;
	default:
		return -EREMOTEIO;
	}
}

static int judge(const struct http_answer *got, struct etcd_answer *answer,
		 struct error *why)
{
	int rc = etcd_answer_parse(got->text, got->bytes, answer, why);

	if (rc) {
		if (got->status != 200)
			error_set(why, "HTTP status %ld", got->status);
		return rc;
	}
	if (answer->code == ETCD_OK)
		return 0;
	error_set(why, "%s", answer->message);
	return errno_of(answer->code);
}

/* ANSWER is to be freed also where etcd tells an error. */
static int ask_server(struct etcd *etcd, struct endpoint *at, const char *path,
		      const char *body, uint64_t deadline_ns,
		      struct etcd_answer *answer, struct error *why)
{
	struct http_answer got;
	int rc;

	look_up(at);
	if (!at->place.addrs.n) {
		*why = at->why;
		return -EIO;
	}
	rc = check_password(etcd, at, why);
	if (!rc)
		rc = http_post(etcd->http, &at->place, path, body, deadline_ns,
			       &got, why);
	if (rc == -EIO || rc == -ETIMEDOUT)
		at->misses++;
	if (rc)
		return rc;
	at->misses = 0;
	rc = judge(&got, answer, why);
	explicit_bzero(got.text, got.bytes);
	free(got.text);
	return rc;
}

/* --- the cluster --- */

/* Whether another server may do better. */
static bool is_this_server(int rc)
{
	return rc == -EIO || rc == -ETIMEDOUT || rc == -EPROTO;
}

/* A server that hangs while its kernel lives keeps its streams open, and would
 * not tell of a change for as long as it hangs.  So its watches end when it
 * does not answer a call. */
static void end_watches(struct etcd *etcd, unsigned at)
{
	for (unsigned i = 0; i < ETCD_WATCHES; i++) {
		struct watch *watch = &etcd->watches[i];

		watch->is_left |= watch->is_open && watch->at == at;
	}
}

/* Asks the servers in turn. */
static int ask_any(struct etcd *etcd, const char *path, const char *body,
		   uint64_t deadline_ns, struct etcd_answer *answer,
		   struct error *why)
{
	int rc = -EIO;

	for (unsigned left = etcd->n; left; left--) {
		struct endpoint *at = &etcd->endpoints[etcd->current];
		struct error detail;

		etcd_answer_free(answer);
		rc = ask_server(etcd, at, path, body,
				net_turn_deadline(deadline_ns, left), answer,
				&detail);
		if (!rc)
			return 0;
		error_set(why, "%.80s: %.160s",
			  net_name_format(&at->place.name).text, detail.text);
		if (!is_this_server(rc))
			return rc;
		if (rc != -EPROTO)
			end_watches(etcd, etcd->current);
		etcd->current = (etcd->current + 1) % etcd->n;
	}
	return rc;
}

static int authenticate(struct etcd *etcd, uint64_t deadline_ns,
			struct error *why)
{
	char *body = etcd_request_authenticate(etcd->login.user,
					       etcd->login.password);
	struct etcd_answer answer = { 0 };
	int rc = body ? ask_any(etcd, "/v3/auth/authenticate", body,
				deadline_ns, &answer, why)
		      : -ENOMEM;

	if (rc == -EREMOTEIO && answer.code == ETCD_PRECONDITION) {
		etcd->no_auth = true;
		rc = 0;
	} else if (rc == -EREMOTEIO && answer.code == ETCD_INVALID) {
		rc = -EACCES;
	}
	if (!rc && answer.token)
		http_set_token(etcd->http, answer.token);
	etcd->has_token = !rc;
	etcd_answer_free(&answer);
	if (body)
		explicit_bzero(body, strlen(body));
	free(body);
	return rc;
}

static int ask_as_user(struct etcd *etcd, const char *path, const char *body,
		       uint64_t deadline_ns, struct etcd_answer *answer,
		       struct error *why)
{
	if (*etcd->login.user && !etcd->has_token) {
		int rc = authenticate(etcd, deadline_ns, why);

		if (rc)
			return rc;
	}
	return ask_any(etcd, path, body, deadline_ns, answer, why);
}

/* A token lasts minutes; and a cluster may get users meanwhile.  A JSON web
 * token also ends with each change of the users, which etcd tells by the code
 * that it has for much else ("revision of auth store is old"). */
static bool needs_login(const struct etcd *etcd,
			const struct etcd_answer *answer)
{
	return answer->code == ETCD_TOKEN || etcd->no_auth ||
	       (answer->code == ETCD_INVALID && etcd->has_token);
}

/* Frees BODY, which may be NULL.  ANSWER is the caller's to free after 0, and
 * empty otherwise. */
static int call(struct etcd *etcd, const char *path, char *body,
		uint64_t deadline_ns, struct etcd_answer *answer,
		struct error *why)
{
	int rc = -ENOMEM;

	*answer = (struct etcd_answer){ 0 };
	if (body)
		rc = ask_as_user(etcd, path, body, deadline_ns, answer, why);
	else
		error_set(why, "out of memory");
	if (body && rc && *etcd->login.user && needs_login(etcd, answer)) {
		etcd->has_token = etcd->no_auth = false;
		rc = ask_as_user(etcd, path, body, deadline_ns, answer, why);
	}
	free(body);
	if (rc)
		etcd_answer_free(answer);
	if (rc != -ECANCELED)
		etcd->failures = rc ? etcd->failures + 1 : 0;
	return rc;
}

/* --- calls --- */

int etcd_grant(struct etcd *etcd, uint64_t ttl_s, uint64_t deadline_ns,
	       uint64_t *lease, struct error *why)
{
	struct etcd_answer answer;
	int rc = call(etcd, "/v3/lease/grant", etcd_request_grant(ttl_s),
		      deadline_ns, &answer, why);

	if (!rc && !answer.lease) {
		error_set(why, "etcd granted no lease");
		rc = -EPROTO;
	}
	*lease = answer.lease;
	etcd_answer_free(&answer);
	return rc;
}

int etcd_keep_alive(struct etcd *etcd, uint64_t lease, uint64_t deadline_ns,
		    struct error *why)
{
	struct etcd_answer answer;
	int rc = call(etcd, "/v3/lease/keepalive", etcd_request_lease(lease),
		      deadline_ns, &answer, why);

	if (!rc && !answer.ttl_s) {
		error_set(why, "etcd knows the lease no more");
		rc = -ENOENT;
	}
	etcd_answer_free(&answer);
	return rc;
}

int etcd_revoke(struct etcd *etcd, uint64_t lease, uint64_t deadline_ns,
		struct error *why)
{
	struct etcd_answer answer;
	int rc = call(etcd, "/v3/lease/revoke", etcd_request_lease(lease),
		      deadline_ns, &answer, why);

	etcd_answer_free(&answer);
	return rc;
}

int etcd_put(struct etcd *etcd, const char *key, const char *value,
	     uint64_t lease, uint64_t deadline_ns, struct error *why)
{
	struct etcd_answer answer;
	int rc = call(etcd, "/v3/kv/put", etcd_request_put(key, value, lease),
		      deadline_ns, &answer, why);

	etcd_answer_free(&answer);
	return rc;
}

int etcd_put_if(struct etcd *etcd, const char *where, uint64_t lease_now,
		const char *key, const char *value, uint64_t lease,
		uint64_t deadline_ns, struct etcd_answer *there,
		struct error *why)
{
	return call(etcd, "/v3/kv/txn",
		    etcd_request_put_if(where, lease_now, key, value, lease),
		    deadline_ns, there, why);
}

int etcd_transact(struct etcd *etcd, const struct etcd_txn *txn,
		  uint64_t deadline_ns, bool *done, struct error *why)
{
	struct etcd_answer answer;
	int rc = call(etcd, "/v3/kv/txn", etcd_request_txn(txn), deadline_ns,
		      &answer, why);

	*done = !rc && answer.succeeded;
	etcd_answer_free(&answer);
	return rc;
}

/* The keys behind AFTER, which is freed.  *AFTER becomes the last one where
 * there are more, or NULL. */
static int range_part(struct etcd *etcd, const char *prefix, char **after,
		      uint64_t deadline_ns, etcd_take *take, void *arg,
		      uint64_t *revision, struct error *why)
{
	struct etcd_answer answer;
	int rc = call(etcd, "/v3/kv/range",
		      etcd_request_range(prefix, *after, *revision, RANGE_KEYS),
		      deadline_ns, &answer, why);

	free(*after);
	*after = NULL;
	if (rc)
		return rc;
	if (!*revision)
		*revision = answer.revision;
	take(arg, answer.kvs, answer.n);
	if (answer.more && answer.n)
		*after = strdup(answer.kvs[answer.n - 1].key);
	if (answer.more && !*after) {
		error_set(why, "etcd's answer is not whole");
		rc = -EPROTO;
	}
	etcd_answer_free(&answer);
	return rc;
}

int etcd_range(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
	       etcd_take *take, void *arg, uint64_t *revision,
	       struct error *why)
{
	char *after = NULL;
	int rc;

	*revision = 0;
	do {
		rc = range_part(etcd, prefix, &after, deadline_ns, take, arg,
				revision, why);
	} while (!rc && after);
	return rc;
}

/* --- watches --- */

/* The next call goes to another server, with another token, unless the client
 * has left this one already: all its watches end with a server. */
static void leave_server(struct etcd *etcd, unsigned at)
{
	etcd->endpoints[at].misses++;
	if (etcd->current == at)
		etcd->current = (at + 1) % etcd->n;
}

int etcd_watch(struct etcd *etcd, unsigned which, const char *prefix,
	       uint64_t revision, uint64_t deadline_ns, struct error *why)
{
	char *body = etcd_request_watch(prefix, revision);
	int rc = body ? 0 : -ENOMEM;
	struct watch *watch = &etcd->watches[which];
	struct endpoint *at;

	if (!rc && *etcd->login.user && !etcd->has_token)
		rc = authenticate(etcd, deadline_ns, why);
	/* which may be another now */
	*watch = (struct watch){ .at = etcd->current,
				 .begin_by_ns = deadline_ns };
	at = &etcd->endpoints[etcd->current];
	look_up(at);
	if (!rc && !at->place.addrs.n) {
		*why = at->why;
		leave_server(etcd, etcd->current);
		rc = -EIO;
	}
	/* a token is as good as a password while it lasts */
	if (!rc)
		rc = check_password(etcd, at, why);
	if (!rc)
		rc = http_stream_begin(etcd->http, which, &at->place,
				       "/v3/watch", body, why);
	free(body);
	watch->is_open = !rc;
	return rc;
}

uint64_t etcd_watch_due_ns(const struct etcd *etcd, unsigned which)
{
	const struct watch *watch = &etcd->watches[which];

	if (watch->is_left)
		return 0;
	return watch->is_open && !watch->is_created ? watch->begin_by_ns
						    : UINT64_MAX;
}

static void blame(const struct etcd *etcd, const struct watch *watch,
		  const char *reason, struct error *why)
{
	const struct endpoint *at = &etcd->endpoints[watch->at];

	error_set(why, "%s: %s", net_name_format(&at->place.name).text, reason);
}

/* Whether WATCH, which tells nothing now, has ended. */
static int look_for_end(struct etcd *etcd, unsigned which, struct error *why)
{
	const struct watch *watch = &etcd->watches[which];

	if (http_stream_has_ended(etcd->http, which, why)) {
		leave_server(etcd, watch->at);
		return -EIO;
	}
	if (watch->is_created || clock_left_ns(watch->begin_by_ns))
		return 0;
	blame(etcd, watch, "it does not begin the watch", why);
	leave_server(etcd, watch->at);
	end_watches(etcd, watch->at);
	return -ETIMEDOUT;
}

int etcd_watch_next(struct etcd *etcd, unsigned which,
		    struct etcd_answer *answer, struct error *why)
{
	struct watch *watch = &etcd->watches[which];
	const char *line;
	size_t bytes;
	int rc;

	*answer = (struct etcd_answer){ 0 };
	if (watch->is_left) {
		blame(etcd, watch,
		      "it does not answer, so the watch there ends", why);
		return -EIO;
	}
	line = http_stream_line(etcd->http, which, &bytes);
	if (!line)
		return look_for_end(etcd, which, why);
	rc = etcd_answer_parse(line, bytes, answer, why);
	if (rc)
		return rc;
	watch->is_created |= answer->created;
	if (answer->code == ETCD_OK)
		return 1;
	error_set(why, "%s", answer->message);
	rc = errno_of(answer->code);
	if (answer->code == ETCD_TOKEN)
		etcd->has_token = false;
	else
		leave_server(etcd, watch->at);
	etcd_answer_free(answer);
	return rc;
}

void etcd_unwatch(struct etcd *etcd, unsigned which)
{
	etcd->watches[which] = (struct watch){ .at = 0 };
	http_stream_end(etcd->http, which);
}

/* --- waiting --- */

uint64_t etcd_backoff_ns(struct etcd *etcd)
{
	unsigned doubled = etcd->failures ? etcd->failures - 1 : 0;
	uint64_t ns = BACKOFF_MAX_NS;

	if (doubled < 10 && BACKOFF_FIRST_NS << doubled < ns)
		ns = BACKOFF_FIRST_NS << doubled;
	return ns / 2 + etcd_draw_ns(ns);
}

uint64_t etcd_draw_ns(uint64_t most_ns)
{
	return most_ns ? draw() % most_ns : 0;
}

void etcd_pause(struct etcd *etcd, uint64_t until_ns)
{
	http_pause(etcd->http, until_ns);
}

void etcd_rest(struct etcd *etcd, uint64_t until_ns)
{
	http_rest(etcd->http, until_ns);
}

void etcd_wake(struct etcd *etcd)
{
	http_wake(etcd->http);
}

void etcd_cancel(struct etcd *etcd)
{
	http_cancel(etcd->http);
}

void etcd_renew(struct etcd *etcd)
{
	http_renew(etcd->http);
}

struct net_text etcd_endpoint(const struct etcd *etcd)
{
	return net_name_format(&etcd->endpoints[etcd->current].place.name);
}
