/* Whether the loops of a front end turn (loop/loop.h).  A loop turns at least
 * once a second, also without requests.  One that hangs serves nothing, while
 * the threads beside it still answer.
 *
 * rswapctl check tells of a loop that hangs.  Nothing ends the process: the
 * page map is in it, and without the process all pages are lost.  A unit of the
 * user's own that has WatchdogSec= gets its answers here: of a loop, while all
 * loops turn.
 *
 * nbdkit's front end has no loops. */
#ifndef RSWAP_HEARTBEAT_H
#define RSWAP_HEARTBEAT_H

#include <stdint.h>

/* At start, before the loops' threads. */
void heartbeat_start(void);

/* The turn of a loop (loop_config.turn), by its thread: also safety_turn. */
void heartbeat_turn(uint32_t in_flight);

/* When the loop turned that has not turned for longest (clock_tick_ns); 0:
 * there is no loop.  Any thread. */
uint64_t heartbeat_oldest_ns(void);

#endif
