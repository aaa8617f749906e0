/* The RDMA transport: a link is a reliable-connected queue pair, a transfer one
 * one-sided READ or WRITE.  Plain verbs and rdma_cm; any rdma-core provider.
 *
 *   channel   the lane's memory and a bounce buffer, and per device ("domain")
 * a protection domain, a memory region of each, a completion queue and its
 * channel link      an rdma_cm id with its queue pair, on one of these domains
 *
 * Memory.  The lane's memory is registered, and what is in it is sent from
 * where it is, and received to where it belongs.  What is elsewhere, as a front
 * end's pages are, goes through the bounce buffer, which costs a copy.
 *
 * Room.  A transfer has a slot, with its work request, and perhaps a part of
 * the bounce buffer.  Both are given out in order and taken back all at once,
 * when no transfer is in flight.  So on one link the order of slots is the
 * order in which transfers complete, also transfers of several submits.
 *
 * Completions.  The transfers of a submit that go to one link are posted as one
 * chain, and only the last of them is signalled: a queue pair completes in
 * order, so this completion stands for all.  A transfer that fails completes in
 * any case, and puts the queue pair into the error state, where every later one
 * is flushed and completes as well.  So after an error, as many completions
 * follow as transfers stand behind the failed one (ibv_poll_cq(3),
 * ibv_post_send(3)).
 *
 * A deadline that passes puts the link's queue pair into the error state and
 * waits for the flush: only then may the memory and the buffer be used again.
 * Should a device not flush, the channel is not usable ("stuck") until the link
 * is closed and its queue pair destroyed.  Should the device refuse to destroy
 * it, the closed link stays with the channel ("undestroyed") and a stuck one
 * keeps the channel closed: the device may still write to the memory.  Every
 * later connect on the channel tries again to destroy it, and so does the
 * channel's end.  Where the end fails too, the channel's buffer and domains are
 * left as they are.  The same holds where the device refuses to free a domain's
 * objects at the channel's end.
 */
#ifndef RSWAP_RDMA_H
#define RSWAP_RDMA_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdatomic.h>

#include "spin.h"
#include "transport.h"

/* Devices that one channel can reach servers through. */
#define MAX_DOMAINS 4

struct rdma_link;

struct rdma_domain {
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	struct ibv_mr *memory_mr, *buffer_mr; /* NULL: there is none */
	struct ibv_comp_channel *events;
	struct ibv_cq *cq;
	unsigned unacked; /* events got and not yet acknowledged */
};

struct rdma_channel {
	struct channel base;
	uint64_t spin_ns;
	struct spin spin;
	char *memory; /* the lane's, or NULL */
	size_t memory_bytes;
	char *buffer; /* for what is elsewhere, or NULL */
	size_t buffer_bytes;
	size_t in_progress_max_bytes;
	/* A domain is whole before n_domains counts it.  The domain after these
	 * may hold what is left of an attempt that failed. */
	struct rdma_domain domains[MAX_DOMAINS];
	atomic_uint n_domains; /* grows */
	atomic_uint stuck;     /* links whose queue pair did not flush */
	/* Closed links whose queue pair could not be destroyed. */
	struct rdma_link *undestroyed;

	/* What is in flight, by slot.  Only the lane's holder uses it. */
	uint32_t round; /* of the last submit; tells old completions */
	size_t used, used_bytes;
	size_t buffer_used_bytes; /* of these */
	size_t in_flight;
	struct xfer *xfers[TRANSPORT_MAX_XFERS]; /* NULL: over */
	struct ibv_send_wr wr[TRANSPORT_MAX_XFERS];
	struct ibv_sge sge[TRANSPORT_MAX_XFERS];
};

struct rdma_link {
	struct link base;
	struct rdma_domain *domain;
	struct rdma_event_channel *cm_events;
	struct rdma_cm_id *id;
	bool stuck;
	/* In the channel's undestroyed, or in the reaper's list. */
	struct rdma_link *next;
};

static inline struct rdma_channel *rdma_channel(struct channel *channel)
{
	return (struct rdma_channel *)channel;
}

static inline struct rdma_link *rdma_link(struct link *link)
{
	return (struct rdma_link *)link;
}

/* The ops of transport/transport.h that are in transport/rdma_connect.c. */
bool rdma_available(struct error *why);
int rdma_channel_create(const struct channel_config *config,
			struct channel **channel, struct error *why);
void rdma_channel_destroy(struct channel *channel);
uint32_t rdma_connections(uint32_t lanes);
int rdma_link_connect(struct channel *channel, const struct link_target *target,
		      uint64_t deadline_ns, struct link **out,
		      struct error *why);
void rdma_link_describe(const struct link *link, struct link_path *path);
void rdma_link_close(struct link *link);

#endif
