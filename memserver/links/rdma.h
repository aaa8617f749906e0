/* RDMA links: queue pairs, and slabs that are registered with the session's
 * protection domain.  Clients move pages by one-sided READ and WRITE, so there
 * is no data path here.
 *
 * Only the rdma files see verbs. */
#ifndef RSWAP_MEMSERVER_RDMA_H
#define RSWAP_MEMSERVER_RDMA_H

#include "link.h"

extern const struct link_ops rdma_link_ops;

#endif
