/* RDMA lanes: the rdma_cm listener, a protection domain per session, the
 * registration of its slabs, and its queue pairs.  Pages move by one-sided READ
 * and WRITE, so there is no data path here.
 *
 * lane_rdma.c and lane_domain.c are the only files that see verbs. */
#ifndef RSWAP_LANE_RDMA_H
#define RSWAP_LANE_RDMA_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "net.h"
#include "slabs/slab.h"

struct lane_domain;
struct lane_rdma;
struct server;

/* Opens what RDMA needs, or tells why there is none: NULL.  Main loop. */
struct lane_rdma *lane_rdma_open(struct server *server, struct error *why);
void lane_rdma_close(struct lane_rdma *rdma);

/* Listens at ADDR for lanes, at its port where that is free, else at another,
 * which *PORT tells.  -ENODEV where the address belongs to no RDMA device. */
int lane_rdma_listen(struct lane_rdma *rdma, const struct net_addr *addr,
		     uint16_t *port, struct error *why);

/* A session's protection domain, counted: its session and every registered
 * slab keep it.  Any thread. */
void lane_domain_put(struct lane_domain *domain);

/* Registers SLAB for one-sided access and sets slab->region and
 * slab->unregister.  0 or a negative errno, logged.  Preparing thread. */
int lane_register(struct lane_domain *domain, struct slab *slab);
uint32_t lane_region_rkey(const void *region);

#endif
