/* Shares of a data thread: which of its members moves bytes next, when members
 * of several tenants are ready (deficit round robin).
 *
 * In each round every share that has ready members may move ROUND_BYTES times
 * its weight, divided by the largest weight on the thread.  Its members take
 * turns.  A share that moved more, as a member cannot stop in the middle of
 * what it does, moves less in the next rounds.  No share waits for one that has
 * nothing to do.
 *
 * While all members are of one share, nothing of this runs: shares_contended
 * is false, and a member moves bytes as soon as it is ready.
 *
 * Only the loop's thread, but for shares_init. */
#ifndef RSWAP_SHARES_H
#define RSWAP_SHARES_H

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/* Large enough that the poll of each round costs little, and small enough that
 * a round of some shares takes less than a millisecond. */
#define SHARES_ROUND_BYTES (256u << 10)

struct share;
struct shares;

/* Embedded in a member.  Zeroed: of no share. */
struct share_member {
	struct share *share;
	bool ready;
	TAILQ_ENTRY(share_member) entry; /* while ready */
};

struct shares {
	struct ev_loop *ev;
	/* Moves bytes for MEMBER, MOST or a little more.  Returns how many, or
	 * what it cost otherwise; 0 for nothing.  May call share_leave.  A
	 * member that could go on is ready again at the next poll. */
	size_t (*run)(struct share_member *member, size_t most);
	TAILQ_HEAD(share_list, share) list;
	unsigned count;
	unsigned ready;	  /* members */
	ev_prepare round; /* while contended */
	bool serving;
};

void shares_init(struct shares *shares, struct ev_loop *ev,
		 size_t (*run)(struct share_member *member, size_t most));

/* MEMBER joins the share of all members with the same WEIGHT, which is read in
 * every round, and stays until the last of them leaves.  False: out of memory.
 */
bool share_join(struct shares *shares, struct share_member *member,
		const _Atomic uint32_t *weight);
/* Harmless for a member that has not joined. */
void share_leave(struct shares *shares, struct share_member *member);

/* Whether a member that is ready has to wait for its turn. */
static inline bool shares_contended(const struct shares *shares)
{
	return shares->count > 1;
}

/* MEMBER has something to do, and gets its turn before the next poll or in a
 * later round.  Harmless when repeated. */
void share_ready(struct shares *shares, struct share_member *member);

#endif
