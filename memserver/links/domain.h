/* A protection domain per session, and the registration of its slabs: an rkey
 * is worth nothing on another session's queue pair.  For lane_rdma.c; others
 * use lane_rdma.h. */
#ifndef RSWAP_LANE_DOMAIN_H
#define RSWAP_LANE_DOMAIN_H

#include <infiniband/verbs.h>
#include <stdatomic.h>

#include "rdma.h"

struct lane_domain {
	atomic_uint users; /* the session, and each registered slab */
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	struct ibv_cq *cq; /* for the queue pairs' sake: stays empty */
	uint8_t max_reads; /* that a queue pair may serve at a time */
};

/* A domain on the device VERBS, with one user: the caller.  NULL, and WHY. */
struct lane_domain *lane_domain_new(struct ibv_context *verbs,
				    struct error *why);

#endif
