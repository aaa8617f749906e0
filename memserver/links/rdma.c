/* The life of an RDMA link, by rdma_cm events on the main loop:
 *
 *   CONNECT_REQUEST  JOIN in the private data -> queue pair -> accept
 *   ESTABLISHED      nothing to do: the client may use the link before
 *   DISCONNECTED, UNREACHABLE, CONNECT_ERROR, DEVICE_REMOVAL  -> close */
#include "rdma.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "loops/container.h"
#include "output/output.h"
#include "rdma_device.h"
#include "rdma_env.h"
#include "rdma_link.h"

#define BACKLOG 128
/* Events of one turn of the main loop. */
#define EVENT_BATCH 16

/* Queue pairs and completion queues lock memory besides the slabs. */
#define LOCKED_BYTES (64ull << 20)

struct rdma_listener {
	struct rdma_cm_id *id;
	SLIST_ENTRY(rdma_listener) entry;
};

struct rdma_events {
	struct links *links;
	struct rdma_event_channel *channel;
	ev_io io;
	SLIST_HEAD(, rdma_listener) listeners;
};

/* --- a request for a link --- */

static void reject(struct rdma_cm_id *id, uint32_t cookie, uint32_t code,
		   const char *text)
{
	struct wire_message m = { .type = WIRE_ERROR,
				  .cookie = cookie,
				  .error.code = code };
	struct peer_name peer = rdma_id_peer(id, "");
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t length;

	output_peer(&peer, "%s; RDMA connection rejected", text);
	snprintf(m.error.text, sizeof m.error.text, "%s", text);
	length = wire_encode(&m, bytes);
	if (rdma_reject(id, bytes, (uint8_t)length) < 0)
		log_error("rdma_reject: %s", strerror(errno));
	rdma_destroy_id(id);
}

static void on_connect_request(struct links *links, const struct rdma_event *e)
{
	struct link_set *set;
	const struct wire_join *join = &e->message.join;
	uint32_t cookie = e->message.cookie;
	struct rdma_link *l;
	struct error why;

	/* rdma_cm gave the new id the context of its listener. */
	e->id->context = NULL;
	if (e->verdict != WIRE_OK) {
		links->errors++;
		reject(e->id, cookie,
		       e->verdict == WIRE_BAD_VERSION ? WIRE_E_VERSION
						      : WIRE_E_PROTOCOL,
		       wire_verdict_text(e->verdict));
		return;
	}
	set = link_admit(links, join, &rdma_link_ops, &why);
	if (!set) {
		links->refused++;
		links->errors++;
		reject(e->id, cookie, WIRE_E_TOKEN, why.text);
		return;
	}
	l = rdma_link_new(set, e, &why);
	if (!l) {
		links->errors++;
		link_slot_free(set, join->lane);
		reject(e->id, cookie, WIRE_E_INTERNAL, why.text);
		return;
	}
	l->link.ops = &rdma_link_ops;
	link_joined(set, join->lane, &l->link);
	if (l->failed) {
		output_peer(&l->peer, "%s; RDMA connection closed", why.text);
		link_close(&l->link);
		return;
	}
	set->ready(set);
}

/* --- events --- */

static void on_link_event(struct rdma_link *l, const struct rdma_event *e)
{
	switch (e->type) {
	case RDMA_CM_EVENT_CONNECT_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
	case RDMA_CM_EVENT_REJECTED:
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		output_peer(&l->peer, "session %u, lane %u: %s (%d)",
			    l->link.set->key, l->link.number,
			    rdma_event_str(e->type), e->status);
		link_close(&l->link);
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		link_close(&l->link);
		break;
	default:
		break;
	}
}

static void on_event(struct rdma_events *rdma, const struct rdma_event *e,
		     struct rdma_link *l)
{
	if (e->type == RDMA_CM_EVENT_CONNECT_REQUEST)
		on_connect_request(rdma->links, e);
	else if (l)
		on_link_event(l, e);
	else if (e->type == RDMA_CM_EVENT_DEVICE_REMOVAL)
		log_error("an RDMA device that this server listened on is "
			  "gone: when it is back, rswapctl drain, and restart "
			  "the server once it is empty");
}

static void take_request(const struct rdma_cm_event *event,
			 struct rdma_event *e)
{
	const struct rdma_conn_param *param = &event->param.conn;

	/* The client's initiator depth, as rdma_cm shows it to this side. */
	e->wants_reads = param->responder_resources;
	e->verdict = private_data_decode(param->private_data,
					 param->private_data_len, WIRE_JOIN,
					 &e->message);
}

/* Events beyond a batch come in the next turn: the channel stays readable.
 *
 * After the acknowledgement the teardown thread may destroy the link's id at
 * any time.  The link itself stays until the main loop hears of that. */
static void io_cb(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct rdma_events *rdma =
		container_of(watcher, struct rdma_events, io);
	struct rdma_cm_event *event;

	(void)loop;
	(void)events;
	for (int i = 0; i < EVENT_BATCH; i++) {
		if (rdma_get_cm_event(rdma->channel, &event) != 0)
			return;

		struct rdma_event e = { .type = event->event,
					.status = event->status,
					.id = event->id };
		struct rdma_link *l = NULL;

		if (e.type == RDMA_CM_EVENT_CONNECT_REQUEST)
			take_request(event, &e);
		else
			l = event->id->context;
		rdma_ack_cm_event(event);
		on_event(rdma, &e, l);
	}
}

/* --- listening --- */

/* Whether there is a device that fits.  rdma_cm opens all of them, and keeps
 * them open: once this process serves, it can open no file for writing. */
static bool open_devices(struct error *why)
{
	bool found = false;
	int count = 0;
	struct ibv_context **devices = rdma_get_devices(&count);

	error_set(why, "there is no RDMA device");
	for (int i = 0; i < count && !found; i++)
		found = rdma_device_fits(devices[i]->device, why);
	if (devices)
		rdma_free_devices(devices);
	return found;
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

static const char not_on_device[] = "it belongs to no RDMA device";

/* Whether links can come in at ADDR: a wildcard address is on every device. */
static bool on_device(const struct rdma_cm_id *id, const struct net_addr *addr,
		      struct error *why)
{
	if (id->verbs)
		return rdma_device_fits(id->verbs->device, why);
	if (is_wildcard(addr))
		return open_devices(why);
	error_set(why, "%s", not_on_device);
	return false;
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
	struct error detail = { "" };

	if (err == -EADDRINUSE) {
		/* rdma_cm has port numbers of its own: any free one will do. */
		struct net_addr any_port = *addr;

		net_addr_set_port(&any_port, 0);
		err = bind_id(id, &any_port);
	}
	if (err == -ENODEV)
		error_set(&detail, "%s", not_on_device);
	if (!err && !on_device(id, addr, &detail))
		err = -ENODEV;
	if (!err && rdma_listen(id, BACKLOG) < 0)
		err = -errno;
	if (err)
		error_set(why, "cannot listen on %s for RDMA: %.160s",
			  net_addr_format(addr).text,
			  *detail.text ? detail.text : strerror(-err));
	return err;
}

static int rdma_listen_at(struct links *links, const struct net_addr *addr,
			  struct link_offer *offer, struct error *why)
{
	struct rdma_listener *listener = calloc(1, sizeof *listener);
	int err;

	if (!listener) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	if (rdma_create_id(links->rdma->channel, &listener->id, NULL,
			   RDMA_PS_TCP) < 0) {
		err = -errno;
		error_set(why, "rdma_create_id: %s", strerror(-err));
		free(listener);
		return err;
	}
	err = listen_with(listener->id, addr, why);
	if (err) {
		rdma_destroy_id(listener->id);
		free(listener);
		return err;
	}
	offer->rdma_port = ntohs(rdma_get_src_port(listener->id));
	SLIST_INSERT_HEAD(&links->rdma->listeners, listener, entry);
	return 0;
}

/* --- start and end --- */

static int rdma_open(struct links *links, struct error *why)
{
	struct rdma_events *rdma = calloc(1, sizeof *rdma);
	int flags;

	if (!rdma) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	rdma->links = links;
	SLIST_INIT(&rdma->listeners);
	rdma_env_set();
	rdma->channel = rdma_create_event_channel();
	if (!rdma->channel) {
		error_set(why,
			  "no RDMA connection manager here (%s): is the "
			  "module rdma_ucm loaded?",
			  strerror(errno));
		free(rdma);
		return -ENODEV;
	}
	flags = fcntl(rdma->channel->fd, F_GETFL);
	fcntl(rdma->channel->fd, F_SETFL, flags | O_NONBLOCK);
	ev_io_init(&rdma->io, io_cb, rdma->channel->fd, EV_READ);
	ev_io_start(links->loop, &rdma->io);
	links->rdma = rdma;
	return 0;
}

static void rdma_close(struct links *links)
{
	struct rdma_events *rdma = links->rdma;
	struct rdma_listener *listener;

	ev_io_stop(links->loop, &rdma->io);
	while ((listener = SLIST_FIRST(&rdma->listeners))) {
		SLIST_REMOVE_HEAD(&rdma->listeners, entry);
		rdma_destroy_id(listener->id);
		free(listener);
	}
	rdma_destroy_event_channel(rdma->channel);
	free(rdma);
	links->rdma = NULL;
}

const struct link_ops rdma_link_ops = {
	.name = "rdma",
	.wire_bit = WIRE_TRANSPORT_RDMA,
	.locked_bytes = LOCKED_BYTES,
	.one_sided = true,
	.open = rdma_open,
	.close = rdma_close,
	.listen = rdma_listen_at,
	.link_close = rdma_link_close,
	.slab_register = rdma_slab_register,
	.slab_locate = rdma_slab_locate,
	.domain_put = rdma_domain_put,
};
