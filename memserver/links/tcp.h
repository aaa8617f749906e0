/* TCP lanes: one socket each, moving bytes between a client and its slabs.
 *
 * A lane lives on one data thread (data_loop.h).  The main loop makes it and
 * hands it over; the data thread tells when it is gone. */
#ifndef RSWAP_LANE_TCP_H
#define RSWAP_LANE_TCP_H

#include <stdbool.h>
#include <stdint.h>

#include "net.h"

struct data_loop;
struct session;

/* Makes FD, non-blocking and already answered with JOINED, the lane in slot
 * NUMBER of SESSION.  True: FD belongs to the lane.  False: out of memory; the
 * slot and FD are still the caller's.  Main loop. */
bool tcp_lane_start(struct session *session, uint32_t number, int fd,
		    const struct net_text *peer);

/* Closes those lanes of LOOP that the main loop wants closed.  Its thread. */
void tcp_lanes_close_wanted(struct data_loop *loop);

#endif
