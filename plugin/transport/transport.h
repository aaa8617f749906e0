/* A transport moves bytes between a lane and a slab.  This header has the ops
 * that every transport provides, and what each op promises.  Nothing above this
 * header asks which transport it is.
 *
 *   lane (pages/lane.h)
 *     one channel per transport in use   what a lane needs of a transport:
 *                                        RDMA: registered memory, CQ
 *       one link per server              RDMA: queue pair; TCP: socket
 *
 * Threads: a channel and its links are used by one thread at a time, the one
 * that holds the lane, except for link_connect, link_abort and link_close, as
 * their comments say.  The thread of another channel may end a transfer.
 */
#ifndef RSWAP_TRANSPORT_H
#define RSWAP_TRANSPORT_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "net.h"
#include "wire.h"

/* The most transfers that a channel has in progress at a time: with one copy, a
 * run for each page of a lane (pages/lane.h) four times.  Each lane has locked
 * memory for so many, on each transport. */
#define TRANSPORT_MAX_XFERS 64

struct transport_ops;
struct waker;
struct watch;
struct watch_source;

/* What every transport's channel and link begin with. */
struct channel {
	const struct transport_ops *ops;
	/* Set before each submit.  NULL: the thread that submits also waits.
	 * Else the waker of a thread that has many requests: submit may leave
	 * transfers queued until that thread calls flush, and the thread is
	 * woken when a transfer ends by another thread. */
	struct waker *waker;
};
struct link {
	const struct transport_ops *ops;
	struct channel *channel;
};

/* Where a slab is: as the server reported (wire_slab), or in a file. */
struct remote_slab {
	uint64_t address; /* of its first byte in the file; 0 on a server */
	uint32_t slab;
	uint32_t rkey;
};

enum xfer_op { XFER_READ, XFER_WRITE };

/* The status of a transfer that was not sent because this machine had no room
 * (see submit) or no usable channel.  The status says nothing about the server.
 * The link still works, and neither BUF nor the slab was touched. */
#define XFER_UNSENT (-ECANCELED)

/* One contiguous run between memory and a slab. */
struct xfer {
	struct link *link;
	enum xfer_op op;
	uint32_t bytes;
	struct remote_slab remote;
	uint64_t offset_bytes; /* within the slab */
	void *buf;	       /* the caller's */

	/* Set by submit and wait: -EINPROGRESS until the transfer is over, 0
	 * when the bytes have arrived on the other side (WRITE) or in BUF
	 * (READ), another negative errno when it failed: -ETIMEDOUT, any
	 * connection error (the link is broken; nothing is known of the
	 * bytes), -EREMOTEIO (the server or the disk refused the transfer), or
	 * XFER_UNSENT.
	 * The caller keeps the transfer and BUF in place from submit until the
	 * transfer is over.  After that nothing touches them, but for memory of
	 * the channel (channel_config) while the channel is not usable. */
	_Atomic int status;
};

struct channel_config {
	/* The most bytes of all its transfers in progress together. */
	uint32_t buffer_bytes;
	/* Of these, the most from and to other memory than MEMORY. */
	uint32_t outside_bytes;
	/* Page-aligned memory of the lane, or NULL.  A transport that is
	 * in_place moves its bytes without a copy.  It outlives the channel. */
	void *memory;
	uint64_t memory_bytes;
	/* How long a wait spins before it sleeps; 0: not at all. */
	uint64_t spin_ns;
};

/* What the links of all lanes to one server have in common.  The transport
 * makes the group with the first link and frees it with the last, except for
 * the file transport, whose caller makes and frees it (transport/file.h). */
struct link_group;

struct link_target {
	struct net_addr addr; /* of the server's control connection */
	uint16_t rdma_port;   /* as in wire_welcome */
	uint32_t lane;	      /* the link's lane, of LANES lanes */
	uint32_t lanes;
	uint64_t timeout_ns;	   /* a silent host is dead after this long */
	struct link_group **group; /* *GROUP is NULL before the first link */
	/* Asks the server for a token for one more connection. */
	int (*new_token)(void *owner, struct wire_join *token,
			 struct error *why);
	void *owner;
};

/* The way of a link through a device of this machine's, for people. */
struct link_path {
	char device[64]; /* "mlx5_0"; "" where it is not known */
	char gid[46];	 /* of this end, as an IPv6 address; "": none */
	uint32_t port, gid_index;
	uint32_t mtu_bytes; /* of the path */
};

struct transport_ops {
	const char *name;  /* "tcp", "rdma", "file" */
	uint32_t wire_bit; /* WIRE_TRANSPORT_, or 0 where there is no server */
	/* Whether a slab is reached only through the server's address at which
	 * the session was opened. */
	bool bound_to_address;
	/* Whether real-time threads that wait for this transport should run on
	 * other processors than all other threads, even for one transfer. */
	bool apart;

	/* Whether a device transfers from and to the channel's memory by itself
	 * (channel_config), and so may still do that while the channel is not
	 * usable. */
	bool in_place;

	/* Of the WIRE_TRANSPORTS only, else NULL.  Whether this machine has
	 * what the transport needs.  WHY says what is missing. */
	bool (*available)(struct error *why);

	/* Of the WIRE_TRANSPORTS only, else NULL.  How many connections
	 * (tokens) the links of LANES lanes need. */
	uint32_t (*connections)(uint32_t lanes);

	/* Heap that the links of LANES lanes to one server take.  NULL: next to
	 * nothing. */
	size_t (*links_bytes)(uint32_t lanes);

	/* Allocates and registers what a channel needs.  May take long; never
	 * on the I/O path.  0 or a negative errno. */
	int (*channel_create)(const struct channel_config *config,
			      struct channel **channel, struct error *why);
	/* All links are closed.  Nothing is freed where a device may still use
	 * the channel's memory. */
	void (*channel_destroy)(struct channel *channel);

	/* Connects to a server and joins its session, where the group has no
	 * connection for this lane yet.  Called by the session's thread; may
	 * run beside submit and wait on other links of the channel (a request
	 * to another server goes on while this one is rebuilt). */
	int (*link_connect)(struct channel *channel,
			    const struct link_target *target,
			    uint64_t deadline_ns, struct link **link,
			    struct error *why);
	/* Tells the way of LINK, which was connected just now.  Called by the
	 * session's thread.  NULL: a link has no device of its own. */
	void (*link_describe)(const struct link *link, struct link_path *path);
	/* Makes every transfer in flight on LINK, and every later one, fail
	 * soon; those of other links of its group may fail too.  Any thread,
	 * beside submit and wait; not beside link_close.  May be called again.
	 */
	void (*link_abort)(struct link *link);
	/* Frees LINK, at once or later.  The caller may not use LINK any more.
	 * No transfer of LINK is in flight, and none comes.  A channel that
	 * LINK made unusable becomes usable when LINK is freed. */
	void (*link_close)(struct link *link);

	/* Starts all N transfers, on any links of this channel.  The order of
	 * transfers on one link is not promised.  Allocates nothing.  Failures
	 * show in status.  A transport that starts transfers later (a file)
	 * starts none after DEADLINE_NS.
	 *
	 * Earlier transfers may still be in progress.  TRANSPORT_MAX_XFERS,
	 * buffer_bytes and outside_bytes limit the sum of all transfers that
	 * were submitted since the channel was last without a transfer in
	 * progress.  Where the N are
	 * beyond the limits, some or all of them are not sent: XFER_UNSENT. */
	void (*submit)(struct channel *channel, struct xfer *xfers, size_t n,
		       uint64_t deadline_ns);
	/* Waits until at least WANT of the N are over, or DEADLINE_NS has
	 * passed (0: does not wait), perhaps by some milliseconds.  Returns how
	 * many are over.  Aborts nothing.  The N may be any transfers of the
	 * channel, also of several submits.  Other transfers make progress
	 * meanwhile. */
	size_t (*wait_until)(struct channel *channel, struct xfer *xfers,
			     size_t n, size_t want, uint64_t deadline_ns);
	/* Returns when none of the N is in progress any more: after DEADLINE_NS
	 * it aborts their links and gives them -ETIMEDOUT.  A failed WRITE
	 * may still reach the slab, until the server has fenced the link
	 * (WIRE_FENCE). */
	void (*wait)(struct channel *channel, struct xfer *xfers, size_t n,
		     uint64_t deadline_ns);
	/* Ends the transfers of the N that are in progress, at once, with
	 * -ETIMEDOUT.  Their links were aborted long ago, and the transfers
	 * still did not end: a device is gone, or hangs.  Until these links are
	 * closed the channel is not usable. */
	void (*abandon)(struct channel *channel, struct xfer *xfers, size_t n);
	/* The following four are for a thread with many requests, which waits
	 * for all of them at a time (transport/watch.h).  None of them waits.
	 *
	 * watch adds to WATCH what a wait for X would wait on: a source, which
	 * several transfers may share.  X is in progress, and its link is held
	 * while the source is used.  Adds none where a thread of the transport
	 * ends the transfers, and wakes the waker. */
	void (*watch)(const struct xfer *x, struct watch *watch);
	/* Sends what is queued at the source, and notes in its poll for what to
	 * wait: where the network takes no more now, also for room. */
	void (*flush)(struct watch_source *source);
	/* Takes what has come, which ends transfers. */
	void (*look)(const struct watch_source *source);
	/* The thread is about to sleep: what comes from now on makes the
	 * source's fd ready, and what came before is taken.  NULL: the fd is
	 * ready as long as there is something to take. */
	void (*rest)(const struct watch_source *source);
	/* Whether transfers may be submitted.  False where the device may still
	 * touch the memory of transfers that were given up.  NULL: always. */
	bool (*usable)(const struct channel *channel);
};

static inline bool channel_is_usable(const struct channel *channel)
{
	return !channel->ops->usable || channel->ops->usable(channel);
}

/* How many of the N are over. */
size_t transport_over(const struct xfer *xfers, size_t n);

extern const struct transport_ops transport_tcp;
extern const struct transport_ops transport_rdma;

extern const struct transport_ops transport_file;

/* The transports.  A server offers the first WIRE_TRANSPORTS of them, which
 * stand in order of preference.  The local file has no server. */
enum {
	TRANSPORT_RDMA,
	TRANSPORT_TCP,
	WIRE_TRANSPORTS,
	TRANSPORT_FILE = WIRE_TRANSPORTS,
	N_TRANSPORTS,
};
extern const struct transport_ops *const transports[N_TRANSPORTS];

/* The place of OPS in transports[]. */
size_t transport_number(const struct transport_ops *ops);

/* The transport of that name which a server can offer, or NULL. */
const struct transport_ops *transport_by_name(const char *name);

#endif
