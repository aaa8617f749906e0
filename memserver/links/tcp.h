/* TCP links: one socket each, which moves bytes between a client and slabs.
 *
 * A link lives on one data thread (loops/data_loop.h).  The main loop makes the
 * link and gives it to that thread; the thread gives it back at its end. */
#ifndef RSWAP_MEMSERVER_TCP_H
#define RSWAP_MEMSERVER_TCP_H

#include "link.h"

extern const struct link_ops tcp_link_ops;

#endif
