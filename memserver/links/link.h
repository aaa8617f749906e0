/* The server's end of a plugin's lanes.  A link is one connection that moves
 * bytes between a client and the slabs of its session: a TCP socket or an RDMA
 * queue pair.  On the wire a link has the number of a lane.
 *
 *   links                   what all links of the server share
 *     link_set              the links of one session (link_set.h)
 *       link                one connection
 *
 * struct link_ops has what each transport provides.  Nothing above this header
 * asks which transport it is.
 *
 * Threads: the functions here are the main loop's, except where a comment says
 * otherwise. */
#ifndef RSWAP_MEMSERVER_LINK_H
#define RSWAP_MEMSERVER_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "loops/data_loop.h"
#include "loops/work.h"
#include "net.h"
#include "output/peername.h"
#include "slabs/slab.h"
#include "wire.h"

struct link;
struct link_domain; /* what slabs are registered with; the transport's own */
struct link_ops;
struct link_set;

/* What all links of the server share. */
struct links {
	struct ev_loop *loop; /* the main loop, and its mailbox */
	struct mailbox *box;
	struct workq *teardown; /* destroys queue pairs */
	struct slab_pool *pool;
	unsigned threads; /* that move bytes; see data */

	uint32_t open; /* WIRE_TRANSPORT_ bits of the open transports */
	struct data_loops data;	  /* tcp.c: its threads */
	struct rdma_events *rdma; /* rdma.c: its listeners */

	/* The links of the open session with that KEY, or NULL. */
	struct link_set *(*find)(void *find_arg, uint64_t key);
	void *find_arg;

	uint64_t refused; /* links that were turned away */
	uint64_t errors;  /* of clients and of this machine */
};

/* What a client can have at one listening address. */
struct link_offer {
	uint32_t transports; /* WIRE_TRANSPORT_ bits */
	uint16_t rdma_port;  /* as in wire_welcome */
};

struct link_ops {
	const char *name;  /* "tcp", "rdma", as in --transport */
	uint32_t wire_bit; /* WIRE_TRANSPORT_ */
	/* File descriptors that a link needs. */
	unsigned files;
	/* Bytes that the process has to lock besides slabs. */
	uint64_t locked_bytes;
	/* Whether clients read and write slabs without this server's
	 * processor, so that it cannot count reads and writes. */
	bool one_sided;

	/* Starts what the transport needs.  0, or a negative errno and WHY. */
	int (*open)(struct links *links, struct error *why);
	/* No link is left. */
	void (*close)(struct links *links);

	/* Listens at ADDR for links and adds to OFFER.  0, or a negative errno
	 * and WHY; -ENODEV: the address belongs to no device of this transport.
	 * NULL: links come in over control connections, see adopt. */
	int (*listen)(struct links *links, const struct net_addr *addr,
		      struct link_offer *offer, struct error *why);

	/* Makes FD the link in SLOT of SET.  FD is non-blocking, and JOINED was
	 * sent.  True: the link owns FD.  False: out of memory; slot and FD
	 * still belong to the caller.  NULL where `listen` is set. */
	bool (*adopt)(struct link_set *set, uint32_t slot, int fd,
		      const struct peer_name *peer);

	/* Begins to close the link; called once.  link_gone follows, when the
	 * link can no longer reach a slab. */
	void (*link_close)(struct link *link);

	/* Closes the link if it has used a freed slab for LINK_HELD_S.  NULL
	 * where a link uses no slab for longer than an instant. */
	void (*link_drop_freed)(struct link *link);

	/* Registers SLAB for access by the links of DOMAIN's session, and sets
	 * slab->region and slab->unregister.  0, or a negative errno, logged.
	 * Preparing thread.  NULL: links reach a slab without that. */
	int (*slab_register)(struct link_domain *domain, struct slab *slab);
	/* Where a client finds the registered SLAB. */
	void (*slab_locate)(const struct slab *slab, struct wire_slab *where);
	/* The session is gone.  The domain stays until its last slab is
	 * unregistered. */
	void (*domain_put)(struct link_domain *domain);
};

/* What every transport's link begins with.  The transport sets OPS. */
struct link {
	const struct link_ops *ops;
	struct link_set *set;
	uint32_t number; /* its slot; the lane's number on the wire */
	bool closing;
	bool fenced; /* the FENCE under way waits for this link */
};

/* A link may use a freed slab for that long: a client needs no longer to read
 * a reply, or to finish a WRITE. */
#define LINK_HELD_S 3

/* Begins to close LINK, unless that has begun. */
void link_close(struct link *link);

/* LINK can reach no slab any more.  A transport says this last; afterwards the
 * transport frees the link. */
void link_gone(struct link *link);

#endif
