/* The keys below a prefix, kept up to date: all of them first, then each change
 * as etcd tells of it.
 *
 *   LISTING -> WATCHING -> (the watch ends) -> WATCHING from where it was
 *                       -> (what it missed is gone, or this is another store)
 *                          -> LISTING
 *
 * A store that was restarted empty, or from a backup, has lower revisions than
 * the view has seen: a watch there would be silent until they are passed.  So
 * the view then lists anew.  It also does so once in a while, in case an event
 * was missed for a reason that nobody thought of, and where the watch has been
 * silent for too long, in case etcd hangs and keeps its connections.
 *
 * After each failure the view rests, longer each time: a list that succeeds is
 * no success where the watch behind it fails again and again.  Only a watch
 * that tells of a change, or lives for 10 seconds, is one.
 *
 * The thread of the client runs it. */
#ifndef RSWAP_ETCD_VIEW_H
#define RSWAP_ETCD_VIEW_H

#include "etcd.h"

struct etcd_view_ops {
	/* All keys follow, by `changed`; what was known before is void unless
	 * it comes again. */
	void (*begin)(void *arg);
	void (*end)(void *arg);
	/* A key is new, has another value, or was deleted. */
	void (*changed)(void *arg, const struct etcd_kv *kv);
};

struct etcd_view {
	struct etcd *etcd;
	const char *prefix;
	const struct etcd_view_ops *ops;
	void *arg;
	/* How long etcd has to list all keys, and to begin a watch; 0: 10 s.
	 * Twice as long after each failure, up to call_most_ns; 0: call_ns. */
	uint64_t call_ns, call_most_ns;
	/* Where changes are sure to come: a watch that is silent for so long,
	 * and a random time of up to half as long more, is not believed.  0:
	 * silence tells nothing. */
	uint64_t quiet_ns;
	/* Views of one client have different ones, below ETCD_WATCHES. */
	unsigned watch;

	/* The view's own; zeroed at first. */
	bool listed;		    /* else: LISTING */
	bool watching;		    /* a watch is open */
	bool began;		    /* and etcd has answered it */
	uint64_t cluster, revision; /* the last that was seen */
	uint64_t list_at_ns;	    /* anew */
	uint64_t quiet_at_ns;	    /* anew as well, unless etcd speaks */
	uint64_t lived_at_ns;	    /* when the watch is a success */
	unsigned failures;	    /* in a row */
	uint64_t again_ns;	    /* the view rests until then */
	int rc;			    /* the last failure */
	struct error why;
};

/* Does what can be done until DEADLINE_NS, and returns at once when something
 * was told to the ops.  0, or a negative errno with WHY: etcd cannot be reached
 * or refuses.  The next step rests first, and fails in the same way if its
 * deadline comes before.  -EAGAIN: etcd answers, and the view will list all
 * keys anew; nothing is amiss that a user could mend. */
int etcd_view_step(struct etcd_view *view, uint64_t deadline_ns,
		   struct error *why);

/* What the view told could not be taken, for a reason RC with WHY: a failure as
 * those of the step.  Returns RC. */
int etcd_view_fail(struct etcd_view *view, int rc, const struct error *why);

/* Whether the view has all keys, and hears of changes. */
bool etcd_view_is_current(const struct etcd_view *view);

/* Ends the watch, which the next step begins again, without a rest. */
void etcd_view_close(struct etcd_view *view);

#endif
