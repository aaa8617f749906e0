/* Follows a pool's list of servers while the engine runs: which servers it
 * uses, and which it does not use any more (servers/roster.h).
 *
 * A server that the pool lists, that has free memory or some that is reserved
 * for this device, and that the engine has a place for joins.  A server that
 * the pool lists no more is not wanted any more: if its session is lost, it
 * makes room.  A server that is of no use makes room too, where others wait:
 * one that cannot be reached, and one that holds no slab and grants none.  What
 * was dismissed so comes back only where there is no other one, for some
 * minutes: this machine may be cut off from a server that etcd and others
 * reach.  Draining needs nothing here: the server asks for its slabs by its
 * session. */
#ifndef RSWAP_POOLFOLLOW_H
#define RSWAP_POOLFOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "engine.h"
#include "keys.h"
#include "members.h"

struct poolfollow {
	struct engine *engine;
	const struct members *members;
	const struct ledger *ledger; /* what the device has reserved */
	const char *pool;	     /* its name, for messages */
	/* Its own; zeroed at first. */
	uint64_t look_at_ns; /* before then only to join */
	uint64_t join_at_ns; /* 0: nothing to join */
	struct {
		uint64_t useless_ns; /* since when; 0: it is of use */
		bool dismissed;	     /* until it is vacant */
		/* The last one that was dismissed from here is avoided. */
		struct net_name avoided;
		uint8_t avoided_incarnation[WIRE_INCARNATION_BYTES];
		uint64_t avoided_until_ns; /* 0: there is none */
	} servers[KEYS_SERVERS_MAX];
};

/* Does what the list says, at most every 0.2 seconds: it may be called for each
 * change.  Returns when to call it again, at the latest.  The thread of the
 * list. */
uint64_t poolfollow_step(struct poolfollow *follow);

#endif
