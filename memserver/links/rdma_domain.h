/* A protection domain per session, and the registration of its slabs: an rkey
 * is worth nothing on another session's queue pair. */
#ifndef RSWAP_MEMSERVER_RDMA_DOMAIN_H
#define RSWAP_MEMSERVER_RDMA_DOMAIN_H

#include <infiniband/verbs.h>
#include <stdatomic.h>

#include "link.h"

/* The session and each registered slab keep the domain. */
struct link_domain {
	atomic_uint users;
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	struct ibv_cq *cq; /* queue pairs need one; stays empty */
	uint8_t max_reads; /* that a queue pair may serve at a time */
};

/* A domain on the device VERBS, with one user: the caller.  NULL, and WHY. */
struct link_domain *rdma_domain_new(struct ibv_context *verbs,
				    struct error *why);
/* One user less.  Any thread. */
void rdma_domain_put(struct link_domain *domain);

/* As in link_ops. */
int rdma_slab_register(struct link_domain *domain, struct slab *slab);
void rdma_slab_locate(const struct slab *slab, struct wire_slab *where);

#endif
