/* The life of an RDMA lane, by rdma_cm events on the main loop:
 *
 *   CONNECT_REQUEST  JOIN in the private data -> queue pair -> accept
 *   ESTABLISHED      nothing to do: the client may have begun before
 *   DISCONNECTED, UNREACHABLE, CONNECT_ERROR, DEVICE_REMOVAL  -> close
 *
 * Closing destroys the queue pair on the teardown thread: that can take long,
 * and rdma_destroy_id waits until the main loop has acknowledged the id's
 * events.  After it nothing the client sent reaches memory any more.  Where the
 * device refuses, the lane is not gone: its session waits, and with it FENCED,
 * and destroying is tried again. */
#include "rdma.h"

#include <errno.h>
#include <fcntl.h>
#include <rdma/rdma_cma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "grants/grant.h"
#include "domain.h"
#include "log.h"
#include "output/output.h"
#include "server/server.h"
#include "session/session.h"
#include "wire.h"

#define BACKLOG 128
/* Events of one turn of the main loop. */
#define EVENT_BATCH 16
/* Between two attempts to destroy a queue pair. */
#define DESTROY_AGAIN_S 0.25

/* The most private data that a rejection carries (InfiniBand CM REJ). */
#define REJECT_BYTES_MAX 148
_Static_assert(WIRE_MESSAGE_MAX <= REJECT_BYTES_MAX, "ERROR as private data");

#define JOIN_BYTES (sizeof(struct wire_header) + sizeof(struct wire_join))

struct lane_rdma {
	struct server *server;
	struct rdma_event_channel *events;
	ev_io io;
	struct rdma_cm_id *listeners[LISTENERS_MAX];
	unsigned listener_count;
};

struct rdma_lane {
	struct lane lane;
	struct rdma_cm_id *id;
	struct net_text peer;
	struct work teardown;
	ev_timer again;	   /* while the queue pair cannot be destroyed */
	int destroy_err;   /* of the last attempt, an errno */
	bool disconnected; /* and told for good */
	bool failed;	   /* it never came to be: only to be destroyed */
};

/* What is needed of an event, which is gone once it is acknowledged. */
struct event {
	enum rdma_cm_event_type type;
	int status;
	struct rdma_cm_id *id;
	uint8_t wants_reads; /* at a time, that the client will have going */
	uint8_t join_bytes;
	uint8_t join[JOIN_BYTES];
};

static struct net_text id_peer(struct rdma_cm_id *id)
{
	const struct sockaddr *sa = rdma_get_peer_addr(id);
	struct net_addr addr = { .length =
					 sa->sa_family == AF_INET6
						 ? sizeof(struct sockaddr_in6)
						 : sizeof(struct sockaddr_in) };

	memcpy(&addr.storage, sa, addr.length);
	return net_addr_format(&addr);
}

/* --- closing a lane --- */

/* rdma_destroy_qp does not say whether the queue pair is gone.  0 or an errno;
 * then the id has it still. */
static int destroy_qp(struct rdma_cm_id *id)
{
	int err = ibv_destroy_qp(id->qp);

	if (!err)
		id->qp = NULL;
	return err;
}

static void teardown_run(struct work *work)
{
	struct rdma_lane *l = container_of(work, struct rdma_lane, teardown);

	/* tells the client; it may have gone first */
	if (!l->disconnected)
		rdma_disconnect(l->id);
	l->disconnected = true;
	l->destroy_err = destroy_qp(l->id);
	if (!l->destroy_err && rdma_destroy_id(l->id) < 0)
		log_error("%s: rdma_destroy_id: %s", l->peer.text,
			  strerror(errno));
}

static void destroy_again_cb(struct ev_loop *loop, ev_timer *watcher,
			     int events)
{
	struct rdma_lane *l = container_of(watcher, struct rdma_lane, again);

	(void)loop;
	(void)events;
	workq_submit(&l->lane.session->server->teardown, &l->teardown);
}

static void teardown_done(struct work *work)
{
	struct rdma_lane *l = container_of(work, struct rdma_lane, teardown);
	struct server *server = l->lane.session->server;

	if (l->destroy_err) {
		server->errors++;
		output_peer(&l->peer,
			    "session %u, lane %u: ibv_destroy_qp: %s; its "
			    "session waits until that succeeds",
			    l->lane.session->key, l->lane.number,
			    strerror(l->destroy_err));
		ev_timer_init(&l->again, destroy_again_cb, DESTROY_AGAIN_S, 0.);
		ev_timer_start(server->loop, &l->again);
		return;
	}
	session_lane_gone(&l->lane);
	free(l);
}

static void close_lane(struct lane *lane)
{
	struct rdma_lane *l = container_of(lane, struct rdma_lane, lane);

	workq_submit(&lane->session->server->teardown, &l->teardown);
}

/* --- opening a lane --- */

static void reject(struct rdma_cm_id *id, uint32_t cookie, uint32_t code,
		   const char *text)
{
	struct wire_message m = { .type = WIRE_ERROR,
				  .cookie = cookie,
				  .error.code = code };
	struct net_text peer = id_peer(id);
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t length;

	output_peer(&peer, "%s; RDMA lane rejected", text);
	snprintf(m.error.text, sizeof m.error.text, "%s", text);
	length = wire_encode(&m, bytes);
	if (rdma_reject(id, bytes, (uint8_t)length) < 0)
		log_error("rdma_reject: %s", strerror(errno));
	rdma_destroy_id(id);
}

static enum wire_verdict decode_join(const struct event *e,
				     struct wire_message *m)
{
	struct wire_header h;
	enum wire_verdict verdict;

	if (e->join_bytes < JOIN_BYTES)
		return WIRE_BAD_LENGTH;
	verdict = wire_decode_header(e->join, &h);
	if (verdict != WIRE_OK)
		return verdict;
	if (h.type != WIRE_JOIN)
		return WIRE_BAD_TYPE;
	return wire_decode_body(&h, e->join + sizeof h, m);
}

/* The first lane decides on which device the session's slabs are registered.
 */
static bool choose_domain(struct session *session, struct ibv_context *verbs,
			  struct error *why)
{
	if (!session->domain)
		session->domain = lane_domain_new(verbs, why);
	if (!session->domain)
		return false;
	if (session->domain->verbs == verbs)
		return true;
	error_set(why, "came in on device %s, its session's is %s",
		  ibv_get_device_name(verbs->device),
		  ibv_get_device_name(session->domain->verbs->device));
	return false;
}

static bool create_qp(struct rdma_cm_id *id, struct lane_domain *domain,
		      struct error *why)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = domain->cq,
		.recv_cq = domain->cq,
		.cap = { .max_send_wr = 1,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};

	if (rdma_create_qp(id, domain->pd, &attr) == 0)
		return true;
	error_set(why, "rdma_create_qp: %s", strerror(errno));
	return false;
}

/* This side starts no transfers: it needs no initiator depth.  It serves as
 * many READs at a time as both the client wants and the device can. */
static bool accept_lane(const struct event *e, struct lane_domain *domain,
			struct error *why)
{
	struct rdma_conn_param param = { .rnr_retry_count = 7 };

	param.responder_resources = e->wants_reads;
	if (param.responder_resources > domain->max_reads)
		param.responder_resources = domain->max_reads;
	if (!param.responder_resources)
		param.responder_resources = 1;
	if (rdma_accept(e->id, &param) == 0)
		return true;
	error_set(why, "rdma_accept: %s", strerror(errno));
	return false;
}

/* Everything between a good token and a lane.  The lane, or NULL and WHY; then
 * the id has no queue pair.  Where it has one that cannot be destroyed the lane
 * has failed: it is one, to be closed at once. */
static struct rdma_lane *make_lane(struct session *session,
				   const struct event *e, struct error *why)
{
	struct rdma_lane *l;

	if (!choose_domain(session, e->id->verbs, why))
		return NULL;
	l = calloc(1, sizeof *l);
	if (!l) {
		error_set(why, "out of memory");
		return NULL;
	}
	l->lane.close = close_lane;
	l->teardown.run = teardown_run;
	l->teardown.done = teardown_done;
	l->id = e->id;
	l->peer = id_peer(e->id);
	if (create_qp(e->id, session->domain, why)) {
		e->id->context = l;
		if (accept_lane(e, session->domain, why))
			return l;
		l->failed = destroy_qp(e->id) != 0;
		if (l->failed)
			return l;
		e->id->context = NULL;
	}
	free(l);
	return NULL;
}

static void on_connect_request(struct lane_rdma *rdma, const struct event *e)
{
	struct server *server = rdma->server;
	struct session *session = NULL;
	struct wire_message m = { .cookie = 0 };
	enum wire_verdict verdict = decode_join(e, &m);
	struct rdma_lane *l;
	struct error why;

	/* rdma_cm gave the new id its listener's context */
	e->id->context = NULL;
	if (verdict != WIRE_OK) {
		server->errors++;
		reject(e->id, m.cookie,
		       verdict == WIRE_BAD_VERSION ? WIRE_E_VERSION
						   : WIRE_E_PROTOCOL,
		       wire_verdict_text(verdict));
		return;
	}
	session = session_admit(server, &m.join, WIRE_TRANSPORT_RDMA);
	if (!session) {
		server->refused++;
		server->errors++;
		reject(e->id, m.cookie, WIRE_E_TOKEN,
		       "a lane's token joins nothing");
		return;
	}
	l = make_lane(session, e, &why);
	if (!l) {
		server->errors++;
		session_slot_free(session, m.join.lane);
		reject(e->id, m.cookie, WIRE_E_INTERNAL, why.text);
		return;
	}
	session_lane_joined(session, m.join.lane, &l->lane);
	if (l->failed) {
		output_peer(&l->peer, "%s; RDMA lane closed", why.text);
		session_lane_close(&l->lane);
		return;
	}
	handout_spare(session);
}

/* --- events --- */

static void on_lane_event(struct rdma_lane *l, const struct event *e)
{
	switch (e->type) {
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		output_peer(&l->peer, "session %u, lane %u: %s (%d)",
			    l->lane.session->key, l->lane.number,
			    rdma_event_str(e->type), e->status);
		session_lane_close(&l->lane);
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		session_lane_close(&l->lane);
		break;
	default:
		break;
	}
}

static void on_event(struct lane_rdma *rdma, const struct event *e,
		     struct rdma_lane *l)
{
	if (e->type == RDMA_CM_EVENT_CONNECT_REQUEST)
		on_connect_request(rdma, e);
	else if (l)
		on_lane_event(l, e);
	else if (e->type == RDMA_CM_EVENT_DEVICE_REMOVAL)
		log_error("an RDMA device that this server listened on is "
			  "gone: restart the server when it is back");
}

static void take_private_data(const struct rdma_cm_event *event,
			      struct event *e)
{
	const struct rdma_conn_param *param = &event->param.conn;

	/* the client's initiator depth, seen from this side */
	e->wants_reads = param->responder_resources;
	if (!param->private_data)
		return;
	e->join_bytes = param->private_data_len < JOIN_BYTES
				? param->private_data_len
				: JOIN_BYTES;
	memcpy(e->join, param->private_data, e->join_bytes);
}

/* What is left of a batch is there in the next turn: the channel stays
 * readable.
 *
 * After the acknowledgement a lane's id may be destroyed at any time, by the
 * teardown thread; the lane itself stays until the main loop hears of that. */
static void io_cb(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct lane_rdma *rdma = container_of(watcher, struct lane_rdma, io);
	struct rdma_cm_event *event;

	(void)loop;
	(void)events;
	for (int i = 0; i < EVENT_BATCH; i++) {
		if (rdma_get_cm_event(rdma->events, &event) != 0)
			return;

		struct event e = { .type = event->event,
				   .status = event->status,
				   .id = event->id };
		struct rdma_lane *l = NULL;

		if (e.type == RDMA_CM_EVENT_CONNECT_REQUEST)
			take_private_data(event, &e);
		else
			l = event->id->context;
		rdma_ack_cm_event(event);
		on_event(rdma, &e, l);
	}
}

/* --- listening --- */

struct lane_rdma *lane_rdma_open(struct server *server, struct error *why)
{
	struct lane_rdma *rdma = calloc(1, sizeof *rdma);
	int flags;

	if (!rdma) {
		error_set(why, "out of memory");
		return NULL;
	}
	rdma->server = server;
	rdma->events = rdma_create_event_channel();
	if (!rdma->events) {
		error_set(why,
			  "no RDMA connection manager here (%s): is the "
			  "module rdma_ucm loaded?",
			  strerror(errno));
		free(rdma);
		return NULL;
	}
	flags = fcntl(rdma->events->fd, F_GETFL);
	fcntl(rdma->events->fd, F_SETFL, flags | O_NONBLOCK);
	ev_io_init(&rdma->io, io_cb, rdma->events->fd, EV_READ);
	ev_io_start(server->loop, &rdma->io);
	return rdma;
}

void lane_rdma_close(struct lane_rdma *rdma)
{
	if (!rdma)
		return;
	ev_io_stop(rdma->server->loop, &rdma->io);
	for (unsigned i = 0; i < rdma->listener_count; i++)
		rdma_destroy_id(rdma->listeners[i]);
	rdma_destroy_event_channel(rdma->events);
	free(rdma);
}

static bool any_device(void)
{
	int count = 0;
	struct ibv_device **devices = ibv_get_device_list(&count);

	if (devices)
		ibv_free_device_list(devices);
	return count > 0;
}

static bool is_wildcard(const struct net_addr *addr)
{
	if (addr->storage.ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(
			&((const struct sockaddr_in6 *)&addr->storage)
				 ->sin6_addr);
	return ((const struct sockaddr_in *)&addr->storage)->sin_addr.s_addr ==
	       htonl(INADDR_ANY);
}

/* Whether lanes can come in there: a wildcard address is on every device. */
static bool on_device(const struct rdma_cm_id *id, const struct net_addr *addr)
{
	return id->verbs || (is_wildcard(addr) && any_device());
}

/* At the port in ADDR.  0 or a negative errno. */
static int bind_id(struct rdma_cm_id *id, const struct net_addr *addr)
{
	struct net_addr copy = *addr;

	if (rdma_bind_addr(id, (struct sockaddr *)&copy.storage) < 0)
		return -errno;
	return 0;
}

static int listen_with(struct rdma_cm_id *id, const struct net_addr *addr,
		       struct error *why)
{
	int err = bind_id(id, addr);

	if (err == -EADDRINUSE) {
		/* rdma_cm has its own port numbers: any other will do */
		struct net_addr any_port = *addr;

		net_addr_set_port(&any_port, 0);
		err = bind_id(id, &any_port);
	}
	if (!err && !on_device(id, addr))
		err = -ENODEV;
	if (!err && rdma_listen(id, BACKLOG) < 0)
		err = -errno;
	if (err == -ENODEV)
		error_set(why, "%s belongs to no RDMA device",
			  net_addr_format(addr).text);
	else if (err)
		error_set(why, "cannot listen on %s for RDMA: %s",
			  net_addr_format(addr).text, strerror(-err));
	return err;
}

int lane_rdma_listen(struct lane_rdma *rdma, const struct net_addr *addr,
		     uint16_t *port, struct error *why)
{
	struct rdma_cm_id *id;
	int err;

	if (rdma_create_id(rdma->events, &id, NULL, RDMA_PS_TCP) < 0) {
		err = -errno;
		error_set(why, "rdma_create_id: %s", strerror(-err));
		return err;
	}
	err = listen_with(id, addr, why);
	if (err) {
		rdma_destroy_id(id);
		return err;
	}
	*port = ntohs(rdma_get_src_port(id));
	rdma->listeners[rdma->listener_count++] = id;
	return 0;
}
