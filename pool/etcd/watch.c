#include "watch.h"

#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "cluster.h"
#include "http.h"
#include "request.h"

_Static_assert(ETCD_WATCHES <= HTTP_STREAMS, "each watch is a stream");

int etcd_watch(struct etcd *etcd, unsigned which, const char *prefix,
	       uint64_t revision, uint64_t deadline_ns, struct error *why)
{
	char *body = etcd_request_watch(prefix, revision);
	int rc = body ? 0 : -ENOMEM;
	struct watch *watch = &etcd->watches[which];
	struct endpoint *at;

	if (!rc && *etcd->login.user && !etcd->has_token)
		rc = cluster_authenticate(etcd, deadline_ns, why);
	/* which may be another now */
	*watch = (struct watch){ .at = etcd->current,
				 .begin_by_ns = deadline_ns };
	at = &etcd->endpoints[etcd->current];
	cluster_look_up(etcd, etcd->current, deadline_ns);
	if (!rc && !at->place.addrs.n) {
		*why = at->why;
		cluster_leave(etcd, etcd->current);
		rc = -EIO;
	}
	/* a token is as good as a password while it lasts */
	if (!rc)
		rc = cluster_check_password(etcd, at, why);
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

/* Another server would not make what is too large smaller. */
static void leave_after(struct etcd *etcd, const struct watch *watch, int rc)
{
	if (rc != -EMSGSIZE)
		cluster_leave(etcd, watch->at);
}

/* Whether WATCH, which tells nothing now, has ended. */
static int look_for_end(struct etcd *etcd, unsigned which, struct error *why)
{
	const struct watch *watch = &etcd->watches[which];
	struct error ended;
	int rc = http_stream_ended(etcd->http, which, &ended);

	if (rc) {
		blame(etcd, watch, ended.text, why);
		leave_after(etcd, watch, rc);
		return rc;
	}
	if (watch->is_created || clock_left_ns(watch->begin_by_ns))
		return 0;
	blame(etcd, watch, "it does not begin the watch", why);
	cluster_leave(etcd, watch->at);
	cluster_end_watches(etcd, watch->at);
	return -ETIMEDOUT;
}

static int next(struct etcd *etcd, unsigned which, struct etcd_answer *answer,
		struct error *why)
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
	if (answer->code == ETCD_OK) {
		cluster_hear(etcd);
		return 1;
	}
	blame(etcd, watch, answer->message, why);
	rc = cluster_errno(answer);
	if (answer->code == ETCD_TOKEN)
		etcd->has_token = false;
	else
		leave_after(etcd, watch, rc);
	etcd_answer_free(answer);
	return rc;
}

int etcd_watch_next(struct etcd *etcd, unsigned which,
		    struct etcd_answer *answer, struct error *why)
{
	int rc = next(etcd, which, answer, why);

	atomic_fetch_add(&etcd->told.failures, rc < 0);
	return rc;
}

void etcd_unwatch(struct etcd *etcd, unsigned which)
{
	etcd->watches[which] = (struct watch){ .at = 0 };
	http_stream_end(etcd->http, which);
}
