#include "etcd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cluster.h"

/* Keys in an answer: of some hundred bytes each. */
#define RANGE_KEYS 1000u

struct range {
	struct etcd *etcd;
	struct etcd_page page;
	char *after; /* page.after, or NULL */
	uint64_t deadline_ns;
};

static int ask(struct range *range, struct etcd_answer *answer,
	       struct error *why)
{
	return cluster_call(range->etcd, "/v3/kv/range",
			    etcd_request_range(&range->page),
			    range->deadline_ns, answer, why);
}

/* A value that alone is too large is somebody else's: whoever may write one key
 * must not be able to hide the others.  So that one is asked for without it. */
static int ask_for_less(struct range *range, struct etcd_answer *answer,
			struct error *why)
{
	int rc = -EMSGSIZE;

	while (rc == -EMSGSIZE && range->page.limit > 1) {
		range->page.limit /= 2;
		rc = ask(range, answer, why);
	}
	if (rc == -EMSGSIZE) {
		range->page.keys_only = true;
		rc = ask(range, answer, why);
	}
	return rc;
}

/* The next page begins behind the last key, and may be larger again: what was
 * too large may have been a single key. */
static void go_on(struct range *range, struct etcd_answer *answer)
{
	free(range->after);
	range->after = answer->last;
	answer->last = NULL;
	range->page.after = range->after;
	range->page.after_bytes = answer->last_bytes;
	range->page.keys_only = false;
	if (range->page.limit < RANGE_KEYS)
		range->page.limit *= 2;
	if (range->page.limit > RANGE_KEYS)
		range->page.limit = RANGE_KEYS;
}

/* *MORE: there is another page. */
static int take_page(struct range *range, etcd_take *take, void *arg,
		     bool *more, struct error *why)
{
	struct etcd_answer answer;
	int rc = ask(range, &answer, why);

	if (rc == -EMSGSIZE)
		rc = ask_for_less(range, &answer, why);
	if (rc)
		return rc;
	if (!range->page.revision)
		range->page.revision = answer.revision;
	take(arg, answer.kvs, answer.n);
	*more = answer.more;
	if (answer.more && !answer.last) {
		error_set(why, "etcd's answer is not whole");
		rc = -EPROTO;
	}
	go_on(range, &answer);
	etcd_answer_free(&answer);
	return rc;
}

int etcd_range(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
	       etcd_take *take, void *arg, uint64_t *revision,
	       struct error *why)
{
	struct range range = { .etcd = etcd,
			       .page = { .prefix = prefix,
					 .limit = RANGE_KEYS },
			       .deadline_ns = deadline_ns };
	bool more;
	int rc;

	do {
		rc = take_page(&range, take, arg, &more, why);
	} while (!rc && more);
	free(range.after);
	*revision = range.page.revision;
	return rc;
}
