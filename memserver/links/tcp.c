#include "tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "link_set.h"
#include "loops/container.h"
#include "output/output.h"
#include "tcp_link.h"

/* How often a link may receive and reply in one turn, up to REPLIES requests
 * each time: small requests move few bytes, so TURN_BYTES does not bound them.
 */
#define TURN_ROUNDS 32

/* A client has this long to read the reply that says why its link ends. */
#define LEAVE_S 1.0

/* --- the link's turn --- */

/* Of all links of the thread. */
static uint64_t requests_of(const struct data_loop *loop)
{
	const struct data_counters *c = &loop->counters;

	return atomic_load_explicit(&c->reads, memory_order_relaxed) +
	       atomic_load_explicit(&c->writes, memory_order_relaxed);
}

static void link_end(struct tcp_link *l);

static void set_events(struct tcp_link *l)
{
	int events = 0;

	if (l->queued < REPLIES)
		events |= EV_READ;
	if (l->queued || l->more)
		events |= EV_WRITE;
	if ((l->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(l->loop->ev, &l->io);
	ev_io_set(&l->io, l->fd, events);
	ev_io_start(l->loop->ev, &l->io);
}

/* Sends the queued replies of a link that is LEAVING.  Reads on until the
 * client closes too, so that no reset overtakes the last reply. */
static void leave(struct tcp_link *l)
{
	tcp_flush(l);
	if (!l->queued && !l->dead)
		shutdown(l->fd, SHUT_WR);
	if (!l->dead)
		tcp_discard_input(l);
	if (l->dead)
		link_end(l);
	else
		set_events(l);
}

/* Receives, serves and replies until the socket is empty, the client does not
 * read, or another link has its turn, after MOST bytes.  Returns the number of
 * bytes. */
static size_t run(struct tcp_link *l, size_t most)
{
	size_t moved = 0;
	unsigned rounds = 0;
	bool drained = false;

	do {
		if (!l->more && l->queued < REPLIES)
			moved += tcp_receive(l, &drained);
		l->more = tcp_serve_input(l);
		moved += tcp_flush(l);
		/* When the queue of replies is full and none was sent, only
		 * the socket can say when to go on. */
	} while (!l->dead && l->state == RUNNING && moved < most &&
		 ++rounds < TURN_ROUNDS && (l->more || !drained) &&
		 l->queued < REPLIES);
	if (l->dead)
		link_end(l);
	else if (l->state == LEAVING)
		leave(l);
	else
		set_events(l);
	return moved;
}

/* The turn of a link among those of several tenants. */
static size_t run_in_turn(struct share_member *member, size_t most)
{
	struct tcp_link *l =
		container_of(member, struct tcp_link, member.share);
	struct data_loop *loop = l->loop;
	uint64_t before = requests_of(loop);
	size_t moved = run(l, most < TURN_BYTES ? most : TURN_BYTES);

	return moved + TURN_REQUEST_BYTES * (requests_of(loop) - before);
}

static void io_cb(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct tcp_link *l = container_of(watcher, struct tcp_link, io);

	(void)ev;
	(void)events;
	if (l->state != RUNNING)
		leave(l);
	else if (shares_contended(&l->loop->shares))
		share_ready(&l->loop->shares, &l->member.share);
	else
		run(l, TURN_BYTES);
}

static void leave_limit_cb(struct ev_loop *ev, ev_timer *watcher, int events)
{
	(void)ev;
	(void)events;
	link_end(container_of(watcher, struct tcp_link, leave_limit));
}

/* --- start and end --- */

static void gone_deliver(struct mail *mail)
{
	struct tcp_link *l = container_of(mail, struct tcp_link, mail);

	l->loop->member_count--;
	link_gone(&l->link);
	free(l);
}

/* From here on the link touches no slab, and belongs to the main loop. */
static void link_end(struct tcp_link *l)
{
	ev_io_stop(l->loop->ev, &l->io);
	ev_timer_stop(l->loop->ev, &l->leave_limit);
	TAILQ_REMOVE(&l->loop->members, &l->member, entry);
	share_leave(&l->loop->shares, &l->member.share);
	close(l->fd);
	tcp_drop_all(l);
	l->mail.deliver = gone_deliver;
	mailbox_post(l->loop->main_box, &l->mail);
}

static void begin_deliver(struct mail *mail)
{
	struct tcp_link *l = container_of(mail, struct tcp_link, mail);

	TAILQ_INSERT_TAIL(&l->loop->members, &l->member, entry);
	ev_io_init(&l->io, io_cb, l->fd, EV_READ);
	ev_timer_init(&l->leave_limit, leave_limit_cb, LEAVE_S, 0.);
	ev_io_start(l->loop->ev, &l->io);
	/* The kick may have come before the link did. */
	if (!share_join(&l->loop->shares, &l->member.share, l->weight) ||
	    atomic_load_explicit(&l->close_wanted, memory_order_acquire))
		link_end(l);
}

/* A client that does not read a reply, or does not finish a WRITE, keeps a
 * freed slab from the other sessions. */
static void end_if_it_holds_freed(struct tcp_link *l)
{
	if (!tcp_holds_freed(l, clock_now_ns() - LINK_HELD_S * NS_PER_S))
		return;
	output_peer(&l->peer,
		    "session %u, lane %u: has not finished a request for %d "
		    "seconds after its slab was freed; connection closed",
		    l->owner, l->number, LINK_HELD_S);
	counter_add(&l->loop->counters.errors, 1);
	link_end(l);
}

/* The main loop wants some links of LOOP to close, or to check their slabs. */
static void kicked(struct data_loop *loop)
{
	struct data_member *next;

	for (struct data_member *m = TAILQ_FIRST(&loop->members); m; m = next) {
		struct tcp_link *l = container_of(m, struct tcp_link, member);

		next = TAILQ_NEXT(m, entry);
		if (atomic_load_explicit(&l->close_wanted,
					 memory_order_acquire))
			link_end(l);
		else if (atomic_exchange_explicit(&l->look_for_freed, false,
						  memory_order_acquire))
			end_if_it_holds_freed(l);
	}
}

/* --- for the main loop --- */

static void tcp_drop_freed(struct link *link)
{
	struct tcp_link *l = container_of(link, struct tcp_link, link);

	atomic_store_explicit(&l->look_for_freed, true, memory_order_release);
	ev_async_send(l->loop->ev, &l->loop->kick);
}

/* The link may have ended already; then its mail is under way. */
static void tcp_close(struct link *link)
{
	struct tcp_link *l = container_of(link, struct tcp_link, link);

	atomic_store_explicit(&l->close_wanted, true, memory_order_release);
	ev_async_send(l->loop->ev, &l->loop->kick);
}

/* A client has its connections in pairs, one for READs and one for WRITEs,
 * which it opens one after the other, so they have neighbouring slots.  One
 * thread serves both.  With two threads each would be woken for the few
 * requests of one kind, and where there are no more processors than that, they
 * take them from the client and from each other. */
static struct data_loop *choose_loop(const struct link_set *set, uint32_t slot)
{
	const struct link *other = set->slots[slot ^ 1].link;

	/* in a session over RDMA the neighbour may be no connection */
	if (!other || other->ops != &tcp_link_ops)
		return data_loop_choose(&set->links->data);
	return container_of(other, struct tcp_link, link)->loop;
}

static bool tcp_adopt(struct link_set *set, uint32_t slot, int fd,
		      const struct peer_name *peer)
{
	struct tcp_link *l = malloc(sizeof *l);

	if (!l)
		return false;
	/* The buffers are large, and written before they are read. */
	memset(l, 0, offsetof(struct tcp_link, replies));
	l->link.ops = &tcp_link_ops;
	l->loop = choose_loop(set, slot);
	l->loop->member_count++;
	l->weight = set->weight;
	l->pool = set->links->pool;
	l->owner = set->key;
	l->number = slot;
	l->peer = *peer;
	l->fd = fd;
	link_joined(set, slot, &l->link);
	l->mail.deliver = begin_deliver;
	mailbox_post(&l->loop->box, &l->mail);
	return true;
}

static int tcp_open(struct links *links, struct error *why)
{
	return data_loops_start(&links->data, links->threads, links->box,
				kicked, run_in_turn, why);
}

static void tcp_shut(struct links *links)
{
	data_loops_stop(&links->data);
}

const struct link_ops tcp_link_ops = {
	.name = "tcp",
	.wire_bit = WIRE_TRANSPORT_TCP,
	.files = 1,
	.open = tcp_open,
	.close = tcp_shut,
	.adopt = tcp_adopt,
	.link_close = tcp_close,
	.link_drop_freed = tcp_drop_freed,
};
