/* One RDMA link and its session's protection domain, for the rdma files. */
#ifndef RSWAP_MEMSERVER_RDMA_LINK_H
#define RSWAP_MEMSERVER_RDMA_LINK_H

#include <rdma/rdma_cma.h>

#include "link_set.h"
#include "private_data.h"
#include "rdma_domain.h"

/* What is needed of an rdma_cm event after its acknowledgement. */
struct rdma_event {
	enum rdma_cm_event_type type;
	int status;
	struct rdma_cm_id *id;
	/* of a CONNECT_REQUEST: */
	uint8_t wants_reads; /* READs that the client will have in progress */
	enum wire_verdict verdict;   /* of its private data, */
	struct wire_message message; /* which is this JOIN */
};

/* E->id->context is the link, from its queue pair's creation on. */
struct rdma_link {
	struct link link;
	struct rdma_cm_id *id;
	struct peer_name peer;
	struct work teardown;
	ev_timer again;	   /* while the queue pair cannot be destroyed */
	int destroy_err;   /* of the last attempt, an errno */
	bool disconnected; /* rdma_disconnect was called */
	bool failed;	   /* never accepted: only to be destroyed */
};

/* How log lines call the peer of ID, which has IDENTITY, or "". */
struct peer_name rdma_id_peer(struct rdma_cm_id *id, const char *identity);

/* The link for the connect request E, whose token is good: queue pair and
 * accept.  NULL and WHY when that fails; E->id has no queue pair then.  If the
 * queue pair cannot be destroyed the link is `failed`, with WHY: the caller
 * closes it. */
struct rdma_link *rdma_link_new(struct link_set *set,
				const struct rdma_event *e, struct error *why);

/* link_ops.link_close */
void rdma_link_close(struct link *link);

#endif
