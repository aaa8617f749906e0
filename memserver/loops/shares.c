#include "shares.h"

#include <stdlib.h>

#include "container.h"

struct share {
	TAILQ_ENTRY(share) entry;
	const _Atomic uint32_t *weight; /* also tells shares apart */
	unsigned members;
	int64_t budget; /* bytes; below 0: it moved more than its share */
	TAILQ_HEAD(, share_member) ready;
};

/* Of a share without members, until the round is over. */
static const _Atomic uint32_t no_weight = 1;

static uint32_t weight_of(const struct share *share)
{
	return atomic_load_explicit(share->weight, memory_order_relaxed);
}

/* --- who is there --- */

static struct share *find(const struct shares *shares,
			  const _Atomic uint32_t *weight)
{
	struct share *share;

	TAILQ_FOREACH(share, &shares->list, entry)
	{
		if (share->weight == weight)
			return share;
	}
	return NULL;
}

static struct share *add(struct shares *shares, const _Atomic uint32_t *weight)
{
	struct share *share = calloc(1, sizeof *share);

	if (!share)
		return NULL;
	share->weight = weight;
	TAILQ_INIT(&share->ready);
	TAILQ_INSERT_TAIL(&shares->list, share, entry);
	if (++shares->count == 2)
		ev_prepare_start(shares->ev, &shares->round);
	return share;
}

static void not_ready(struct shares *shares, struct share_member *member)
{
	if (!member->ready)
		return;
	member->ready = false;
	TAILQ_REMOVE(&member->share->ready, member, entry);
	shares->ready--;
}

/* The members of a share that is left alone are served by their own events. */
static void end_contention(struct shares *shares)
{
	struct share *share;
	struct share_member *member;

	ev_prepare_stop(shares->ev, &shares->round);
	TAILQ_FOREACH(share, &shares->list, entry)
	{
		while ((member = TAILQ_FIRST(&share->ready)))
			not_ready(shares, member);
	}
}

static void drop(struct shares *shares, struct share *share)
{
	TAILQ_REMOVE(&shares->list, share, entry);
	free(share);
	if (--shares->count == 1)
		end_contention(shares);
}

bool share_join(struct shares *shares, struct share_member *member,
		const _Atomic uint32_t *weight)
{
	struct share *share = find(shares, weight);

	if (!share)
		share = add(shares, weight);
	if (!share)
		return false;
	share->members++;
	member->share = share;
	return true;
}

void share_leave(struct shares *shares, struct share_member *member)
{
	struct share *share = member->share;

	if (!share)
		return;
	not_ready(shares, member);
	member->share = NULL;
	if (--share->members)
		return;
	/* The weight may be gone when the last member is. */
	share->weight = &no_weight;
	if (!shares->serving)
		drop(shares, share);
}

void share_ready(struct shares *shares, struct share_member *member)
{
	if (member->ready)
		return;
	member->ready = true;
	TAILQ_INSERT_TAIL(&member->share->ready, member, entry);
	shares->ready++;
}

/* --- rounds --- */

static uint32_t largest_weight(const struct shares *shares)
{
	const struct share *share;
	uint32_t largest = 1;

	TAILQ_FOREACH(share, &shares->list, entry)
	{
		if (weight_of(share) > largest)
			largest = weight_of(share);
	}
	return largest;
}

/* Whether a member had its turn. */
static bool serve(struct shares *shares, struct share *share)
{
	struct share_member *member;
	bool served = false;

	while (share->budget > 0 && (member = TAILQ_FIRST(&share->ready))) {
		not_ready(shares, member);
		served = true;
		share->budget -=
			(int64_t)shares->run(member, (size_t)share->budget);
	}
	/* What a share did not want is not owed to it. */
	if (share->budget > 0)
		share->budget = 0;
	return served;
}

static bool serve_all(struct shares *shares)
{
	uint64_t largest = largest_weight(shares);
	bool served = false;
	struct share *share;

	TAILQ_FOREACH(share, &shares->list, entry)
	{
		if (TAILQ_EMPTY(&share->ready))
			continue;
		share->budget +=
			(int64_t)(SHARES_ROUND_BYTES *
				  (uint64_t)weight_of(share) / largest);
		served |= serve(shares, share);
	}
	return served;
}

/* Before each poll.  Members that are still ready afterwards are so at the
 * poll, which returns at once. */
static void round_cb(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	struct shares *shares = container_of(watcher, struct shares, round);
	struct share *next;

	(void)loop;
	(void)events;
	shares->serving = true;
	/* When each share that has something to do moved more than its share
	 * before, time passes until one may go on. */
	while (shares->ready && !serve_all(shares))
		;
	shares->serving = false;
	for (struct share *share = TAILQ_FIRST(&shares->list); share;
	     share = next) {
		next = TAILQ_NEXT(share, entry);
		if (!share->members)
			drop(shares, share);
	}
}

void shares_init(struct shares *shares, struct ev_loop *ev,
		 size_t (*run)(struct share_member *member, size_t most))
{
	*shares = (struct shares){ .ev = ev, .run = run };
	TAILQ_INIT(&shares->list);
	ev_prepare_init(&shares->round, round_cb);
}
