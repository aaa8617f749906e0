#include "pooldrain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "order.h"

/* The order's key is gone after that.  A server reads it within seconds, or it
 * cannot reach etcd. */
#define ORDER_S 600
/* How long etcd has to answer a call. */
#define CALL_NS (10 * NS_PER_S)
/* How often a server may register anew just then. */
#define ATTEMPTS 5
/* How many servers a message names. */
#define NAMED_MAX 16

static enum exit_status fail(const char *what, const struct error *why)
{
	fprintf(stderr, "rswapctl pool: %s%s\n", what, why->text);
	return EXIT_NO_ANSWER;
}

static uint64_t soon_ns(const struct pooldrain *d)
{
	uint64_t soon_ns = clock_now_ns() + CALL_NS;

	return soon_ns < d->deadline_ns ? soon_ns : d->deadline_ns;
}

/* --- the server --- */

static void print_unknown(const struct pooldrain *d)
{
	const struct members *m = d->members;

	fprintf(stderr, "rswapctl pool: %s is not in pool %s", d->address,
		d->pool->name);
	for (unsigned i = 0; i < m->n && i < NAMED_MAX; i++)
		fprintf(stderr, "%s%s", i ? ", " : "; allowed is one of ",
			m->entries[i].address.text);
	if (m->n > NAMED_MAX)
		fprintf(stderr, " and %u more (rswapctl pool status)",
			m->n - NAMED_MAX);
	fprintf(stderr, "%s\n", m->n ? "" : ", which has no servers");
}

static const struct members_entry *find(const struct pooldrain *d)
{
	const struct members_entry *e = members_find(d->members, d->address);

	if (!e)
		print_unknown(d);
	else if (!e->is_understood)
		fprintf(stderr, "rswapctl pool: %s: %s\n", d->address,
			e->why.text);
	return e && e->is_understood ? e : NULL;
}

static bool is_state(const struct member *m, const char *state)
{
	return !strcmp(m->state, state);
}

static bool is_ending(const struct member *m)
{
	return is_state(m, "leaving") || is_state(m, "stopping");
}

static bool is_as_ordered(const struct pooldrain *d, const struct member *m)
{
	return d->stop == !(is_state(m, "draining") || is_ending(m));
}

/* --- the order --- */

static int put_order(const struct pooldrain *d, const struct members_entry *e,
		     uint64_t lease, bool *put, struct error *why)
{
	struct order order = { .kind = d->stop ? ORDER_SERVE : ORDER_DRAIN };
	char where[sizeof(struct pool_prefix) + sizeof(struct net_text)];
	char key[sizeof where], value[256] = "";
	struct etcd_answer answer;
	FILE *out = fmemopen(value, sizeof value, "w");
	int rc;

	if (!out) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	memcpy(order.incarnation, e->member.incarnation,
	       sizeof order.incarnation);
	order_write(&order, out);
	fclose(out);
	snprintf(where, sizeof where, "%s%s", d->members->prefix.text,
		 d->address);
	snprintf(key, sizeof key, "%s%s", pool_orders_prefix(d->pool).text,
		 d->address);
	rc = etcd_put_if(d->etcd, where, e->lease, key, value, lease,
			 soon_ns(d), &answer, why);
	*put = !rc && answer.succeeded;
	etcd_answer_free(&answer);
	return rc;
}

/* Lists the servers until an order was put for what is listed.  The server that
 * got it goes to *TO. */
static enum exit_status give(const struct pooldrain *d, struct member *to)
{
	const struct members_entry *e;
	struct error why = { "" };
	uint64_t lease;
	bool put = false;
	int rc = etcd_grant(d->etcd, ORDER_S, soon_ns(d), &lease, &why);

	for (int i = 0; !rc && !put && i < ATTEMPTS; i++) {
		d->members->view.listed = false;
		rc = members_step(d->members, soon_ns(d), &why);
		if (rc)
			break;
		e = find(d);
		if (!e)
			return EXIT_FAILED;
		*to = e->member;
		if (d->stop && is_ending(to)) {
			fprintf(stderr,
				"rswapctl pool: %s is %s: it was told to end, "
				"and that cannot be undone\n",
				d->address, to->state);
			return EXIT_FAILED;
		}
		rc = put_order(d, e, lease, &put, &why);
	}
	if (rc)
		return fail(rc == -EACCES ? "no order without the right to "
					    "write it to etcd: "
					  : "",
			    &why);
	if (put)
		return EXIT_OK;
	fprintf(stderr, "rswapctl pool: %s registers anew all the time\n",
		d->address);
	return EXIT_FAILED;
}

/* --- waiting --- */

struct wait {
	const struct pooldrain *drain;
	struct member ordered; /* as it was then */
	struct member last;    /* as it was heard of last */
	char told[160];	       /* the last line */
	bool obeyed;	       /* its state was as ordered */
	bool complained;       /* of etcd */
};

/* A server's last word comes together with the end of its key. */
static void hear(void *arg, const struct members_entry *entry)
{
	struct wait *w = arg;
	const struct member *m = &entry->member;

	if (strcmp(entry->address.text, w->drain->address) ||
	    memcmp(m->incarnation, w->ordered.incarnation,
		   sizeof m->incarnation))
		return;
	w->last = *m;
	w->obeyed |= is_as_ordered(w->drain, m);
}

static void print_progress(const struct pooldrain *d, const struct member *m,
			   struct wait *w)
{
	char line[sizeof w->told], held[32] = "an unknown number of";

	if (m->held_slabs != MEMBER_HELD_UNKNOWN)
		snprintf(held, sizeof held, "%" PRIu32, m->held_slabs);
	snprintf(line, sizeof line,
		 "%s, with %s slab%s of %" PRIu32 " session%s", m->state, held,
		 m->held_slabs == 1 ? "" : "s", m->sessions,
		 m->sessions == 1 ? "" : "s");
	if (!strcmp(line, w->told))
		return;
	memcpy(w->told, line, sizeof line);
	printf("%s: %s\n", d->address, line);
	fflush(stdout);
}

/* A server that is gone was emptied if it said so before.  If it did not, it
 * may have been emptied nevertheless: its last word can be missed, where all
 * keys are listed anew after its key has gone. */
static enum exit_status gone(const struct pooldrain *d, const struct wait *w,
			     const char *how)
{
	if (w->obeyed && d->wait && w->last.held_slabs == 0) {
		printf("%s: it was emptied; %s\n", d->address, how);
		return EXIT_OK;
	}
	fprintf(stderr, "rswapctl pool: %s: %s", d->address, how);
	if (w->obeyed && d->wait)
		fputs(", and did not say that it was emptied", stderr);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

static enum exit_status taken_back(const struct pooldrain *d,
				   const struct member *m)
{
	fprintf(stderr,
		"rswapctl pool: %s: the order was taken back: it is %s\n",
		d->address, m->state);
	return EXIT_FAILED;
}

/* Whether there is nothing to wait for any more; then *STATUS says how it
 * ended. */
static bool judge(const struct pooldrain *d, struct wait *w,
		  enum exit_status *status)
{
	const struct members_entry *e = members_find(d->members, d->address);
	const struct member *m = e ? &e->member : NULL;

	if (!m) {
		*status = gone(d, w,
			       "its key is gone: it has ended, or is cut "
			       "off from etcd");
		return true;
	}
	if (!e->is_understood)
		return false;
	if (memcmp(m->incarnation, w->ordered.incarnation,
		   sizeof m->incarnation)) {
		*status = gone(d, w, "another server is registered there now");
		return true;
	}
	if (!is_as_ordered(d, m)) {
		*status = w->obeyed ? taken_back(d, m) : EXIT_FAILED;
		return w->obeyed;
	}
	w->obeyed = true;
	print_progress(d, m, w);
	*status = EXIT_OK;
	return !d->wait || d->stop || m->held_slabs == 0;
}

static enum exit_status out_of_time(const struct pooldrain *d,
				    const struct wait *w)
{
	const struct members_entry *e = members_find(d->members, d->address);

	if (w->complained)
		return EXIT_NO_ANSWER; /* which was told */
	fprintf(stderr, "rswapctl pool: %s: %s in the time of --timeout",
		d->address,
		w->obeyed ? "it was not emptied" : "it did not obey the order");
	if (e && e->is_understood)
		fprintf(stderr, ": it is %s", e->member.state);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

static enum exit_status await(const struct pooldrain *d, struct wait *w)
{
	enum exit_status status;

	while (!judge(d, w, &status)) {
		struct error why;
		int rc = members_step(d->members, d->deadline_ns, &why);
		bool failed = rc && rc != -EAGAIN;

		if (!clock_left_ns(d->deadline_ns))
			return out_of_time(d, w);
		if (failed && !w->complained)
			fprintf(stderr,
				"rswapctl pool: %s; the order is given, trying "
				"again\n",
				why.text);
		w->complained = failed;
	}
	return status;
}

enum exit_status pooldrain_run(const struct pooldrain *drain)
{
	struct wait w = { .drain = drain };
	enum exit_status status = give(drain, &w.ordered);

	if (status != EXIT_OK)
		return status;
	w.last = w.ordered;
	drain->members->each = hear;
	drain->members->arg = &w;
	status = await(drain, &w);
	drain->members->each = NULL;
	return status;
}
