#include "cluster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "request.h"

/* A name service may be gone too, and then takes some ten seconds to say so.
 * So a server that fails once is tried at the same address again, and only
 * then looked up; and it keeps its old address where that fails. */
#define MISSES_MAX 2

/* How long a name service has, while leases have to be kept alive. */
#define LOOK_UP_NS (2 * NS_PER_S)
/* How often it is seen that the call was canceled. */
#define LOOK_NS (50 * NS_PER_MS)

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* Takes what the name service has said, if it has. */
static void take_addresses(struct etcd *etcd, unsigned at)
{
	struct endpoint *endpoint = &etcd->endpoints[at];
	struct net_addrs found;
	int rc;

	if (!lookup_take(etcd->lookup, at, &rc, &found, &endpoint->why) || rc)
		return;
	endpoint->place.addrs = found;
	endpoint->misses = 0;
}

static void wait_for_addresses(struct etcd *etcd, unsigned at,
			       uint64_t until_ns)
{
	uint64_t asked_ns = lookup_asked_ns(etcd->lookup, at);

	until_ns = earlier(until_ns, asked_ns + LOOK_UP_NS);
	while (!lookup_wait(etcd->lookup, at,
			    earlier(until_ns, clock_now_ns() + LOOK_NS)) &&
	       clock_left_ns(until_ns) && !http_is_canceled(etcd->http))
		;
	take_addresses(etcd, at);
}

static void ask_for_addresses(struct etcd *etcd, unsigned at)
{
	struct endpoint *endpoint = &etcd->endpoints[at];

	error_set(&endpoint->why,
		  "cannot look up \"%s\": the name service is silent",
		  endpoint->place.name.host);
	endpoint->misses = 0;
	lookup_ask(etcd->lookup, at);
}

void cluster_look_all_up(struct etcd *etcd)
{
	for (unsigned i = 0; i < etcd->n; i++)
		ask_for_addresses(etcd, i);
	for (unsigned i = 0; i < etcd->n; i++)
		wait_for_addresses(etcd, i, UINT64_MAX);
}

void cluster_look_up(struct etcd *etcd, unsigned at, uint64_t deadline_ns)
{
	struct endpoint *endpoint = &etcd->endpoints[at];

	take_addresses(etcd, at);
	if (endpoint->place.addrs.n && endpoint->misses < MISSES_MAX)
		return;
	ask_for_addresses(etcd, at);
	wait_for_addresses(etcd, at,
			   clock_now_ns() + clock_left_ns(deadline_ns) / 2);
}

/* --- one server --- */

int cluster_check_password(const struct etcd *etcd, const struct endpoint *at,
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

int cluster_errno(const struct etcd_answer *answer)
{
	if (etcd_answer_is_too_large(answer))
		return -EMSGSIZE;
	switch (answer->code) {
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
	return cluster_errno(answer);
}

/* ANSWER is to be freed also where etcd tells an error. */
static int ask_server(struct etcd *etcd, struct endpoint *at, const char *path,
		      const char *body, uint64_t deadline_ns,
		      struct etcd_answer *answer, struct error *why)
{
	struct http_answer got;
	int rc;

	cluster_look_up(etcd, (unsigned)(at - etcd->endpoints), deadline_ns);
	if (!at->place.addrs.n) {
		*why = at->why;
		return -EIO;
	}
	rc = cluster_check_password(etcd, at, why);
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

void cluster_leave(struct etcd *etcd, unsigned at)
{
	etcd->endpoints[at].misses++;
	if (etcd->current == at)
		etcd->current = (at + 1) % etcd->n;
}

/* Whether another server may do better. */
static bool is_this_server(int rc)
{
	return rc == -EIO || rc == -ETIMEDOUT || rc == -EPROTO;
}

void cluster_end_watches(struct etcd *etcd, unsigned at)
{
	for (unsigned i = 0; i < ETCD_WATCHES; i++) {
		struct watch *watch = &etcd->watches[i];

		watch->is_left |= watch->is_open && watch->at == at;
	}
}

void cluster_hear(struct etcd *etcd)
{
	atomic_store(&etcd->told.heard_ns, clock_now_ns());
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
		if (!rc) {
			cluster_hear(etcd);
			return 0;
		}
		error_set(why, "%.80s: %.160s",
			  net_name_format(&at->place.name).text, detail.text);
		if (!is_this_server(rc))
			return rc;
		if (rc != -EPROTO)
			cluster_end_watches(etcd, etcd->current);
		etcd->current = (etcd->current + 1) % etcd->n;
	}
	return rc;
}

int cluster_authenticate(struct etcd *etcd, uint64_t deadline_ns,
			 struct error *why)
{
	char *body = etcd_request_authenticate(etcd->login.user,
					       etcd->login.password);
	struct etcd_answer answer = { 0 };
	int rc = -ENOMEM;

	/* etcd refuses whatever comes with a token that it does not know. */
	http_clear_token(etcd->http);
	if (body)
		rc = ask_any(etcd, "/v3/auth/authenticate", body, deadline_ns,
			     &answer, why);
	if (rc == -EREMOTEIO && answer.code == ETCD_PRECONDITION) {
		etcd->no_auth = true;
		rc = 0;
	} else if (rc == -EREMOTEIO && answer.code == ETCD_INVALID) {
		rc = -EACCES;
	}
	if (!rc && answer.token)
		rc = http_set_token(etcd->http, answer.token, why);
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
		int rc = cluster_authenticate(etcd, deadline_ns, why);

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

/* A call of which nobody waits for the answer any more tells nothing. */
static void count(struct etcd *etcd, int rc, uint64_t began_ns)
{
	if (rc == -ECANCELED)
		return;
	atomic_fetch_add(&etcd->told.failures, rc != 0);
	atomic_store(&etcd->told.call_ns, clock_now_ns() - began_ns);
}

int cluster_call(struct etcd *etcd, const char *path, char *body,
		 uint64_t deadline_ns, struct etcd_answer *answer,
		 struct error *why)
{
	uint64_t began_ns = clock_now_ns();
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
	/* An etcd that was restarted empty answers nothing to a token of a
	 * later index than it has reached (auth/simple_token.go). */
	if (rc == -ETIMEDOUT)
		etcd->has_token = false;
	count(etcd, rc, began_ns);
	return rc;
}
