/* The connection manager: librdmacm's functions. */
#include "mock_inside.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/eventfd.h>

struct mock_event {
	struct rdma_cm_event event; /* first */
	char private_data[256];
};

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct rdma_event_channel *channel;

	mock.env_set = getenv("RDMAV_ALLOW_DISASSOC_DESTROY");
	if (fails("rdma_create_event_channel"))
		return NULL;
	channel = make(sizeof *channel, &mock.cm_channels);
	channel->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	return channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
	pthread_mutex_lock(&mock_lock);
	for (struct mock_id *m = mock_ids; m; m = m->next)
		must(m->id.channel != channel);
	pthread_mutex_unlock(&mock_lock);
	close(channel->fd);
	unmake(channel, &mock.cm_channels);
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id,
		   void *context, enum rdma_port_space ps)
{
	struct mock_id *m;

	if (fails("rdma_create_id"))
		return -1;
	must(ps == RDMA_PS_TCP);
	m = make(sizeof *m, &mock.ids);
	m->id.channel = channel;
	m->id.context = context;
	pthread_mutex_lock(&mock_lock);
	m->next = mock_ids;
	mock_ids = m;
	pthread_mutex_unlock(&mock_lock);
	*id = &m->id;
	return 0;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
	struct mock_id **at = &mock_ids;

	while (atomic_load(&mock.keeps_ids))
		usleep(1000);
	pthread_mutex_lock(&mock_lock);
	/* It would leak, or hang. */
	must(!id->qp && ((struct mock_id *)id)->unacked == 0);
	while (*at != (struct mock_id *)id)
		at = &(*at)->next;
	*at = (*at)->next;
	pthread_mutex_unlock(&mock_lock);
	unmake(id, &mock.ids);
	return 0;
}

/* The answer to STEP is on its way. */
static void answer(struct rdma_cm_id *id, enum mock_step step)
{
	struct mock_id *m = (struct mock_id *)id;

	pthread_mutex_lock(&mock_lock);
	m->step = step;
	m->answered = !mock.answer[step].silent;
	pthread_mutex_unlock(&mock_lock);
	if (!mock.answer[step].silent)
		signal_fd(id->channel->fd);
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src,
		      struct sockaddr *dst, int timeout_ms)
{
	(void)src;
	if (fails("rdma_resolve_addr"))
		return -1;
	must(timeout_ms > 0);
	pthread_mutex_lock(&mock_lock);
	memcpy(&mock.addr, dst, sizeof(struct sockaddr_in));
	pthread_mutex_unlock(&mock_lock);
	id->verbs = &mock_contexts[mock.device];
	id->port_num = 1;
	answer(id, MOCK_ADDR);
	return 0;
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
	if (fails("rdma_resolve_route"))
		return -1;
	must(timeout_ms > 0);
	answer(id, MOCK_ROUTE);
	return 0;
}

int rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd,
		   struct ibv_qp_init_attr *attr)
{
	struct mock_id *m = (struct mock_id *)id;

	if (fails("rdma_create_qp"))
		return -1;
	pthread_mutex_lock(&mock_lock);
	mock.qp_attr = *attr;
	pthread_mutex_unlock(&mock_lock);
	add(&mock.qps, 1);
	m->qp = (struct ibv_qp){ .context = id->verbs,
				 .qp_context = m,
				 .pd = pd,
				 .send_cq = attr->send_cq,
				 .qp_num = 17 };
	use(&pd->handle, 1);
	use(&attr->send_cq->handle, 1);
	id->qp = &m->qp;
	return 0;
}

int ibv_destroy_qp(struct ibv_qp *qp)
{
	atomic_fetch_add(&mock.qp_destroys, 1);
	if (fails("ibv_destroy_qp"))
		return errno;
	use(&qp->pd->handle, -1);
	use(&qp->send_cq->handle, -1);
	add(&mock.qps, -1);
	return 0;
}

/* As the library's: it does not say whether that went well. */
void rdma_destroy_qp(struct rdma_cm_id *id)
{
	ibv_destroy_qp(id->qp);
	id->qp = NULL;
}

int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	if (fails("rdma_connect"))
		return -1;
	pthread_mutex_lock(&mock_lock);
	mock.param = *param;
	memcpy(mock.private_data, param->private_data, param->private_data_len);
	pthread_mutex_unlock(&mock_lock);
	answer(id, MOCK_CONNECT);
	return 0;
}

/* The id on CHANNEL whose answer is there; NULL where it is gone. */
static struct mock_id *take_answer(const struct rdma_event_channel *channel)
{
	struct mock_id *m;

	pthread_mutex_lock(&mock_lock);
	m = mock_ids;
	while (m && (m->id.channel != channel || !m->answered))
		m = m->next;
	if (m) {
		m->answered = false;
		m->unacked++;
	}
	pthread_mutex_unlock(&mock_lock);
	return m;
}

static struct rdma_cm_event *make_event(struct mock_id *m)
{
	static const enum rdma_cm_event_type good[MOCK_STEPS] = {
		RDMA_CM_EVENT_ADDR_RESOLVED, RDMA_CM_EVENT_ROUTE_RESOLVED,
		RDMA_CM_EVENT_ESTABLISHED,   RDMA_CM_EVENT_CONNECT_REQUEST,
		RDMA_CM_EVENT_DISCONNECTED,
	};
	const struct mock_answer *a = &mock.answer[m->step];
	struct mock_event *e = make(sizeof *e, &mock.cm_events);

	e->event.id = &m->id;
	e->event.event = a->other ? a->event : good[m->step];
	e->event.status = a->status;
	if (a->private_data)
		memcpy(e->private_data, a->private_data, a->private_data_bytes);
	e->event.param.conn.private_data = e->private_data;
	e->event.param.conn.private_data_len = a->private_data_bytes;
	e->event.param.conn.responder_resources = MOCK_READS;
	return &e->event;
}

int rdma_get_cm_event(struct rdma_event_channel *channel,
		      struct rdma_cm_event **event)
{
	struct mock_id *m;

	if (fails("rdma_get_cm_event"))
		return -1;
	if (!take_signal(channel->fd))
		return -1;
	m = take_answer(channel);
	if (!m) {
		errno = EAGAIN;
		return -1;
	}
	*event = make_event(m);
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	add(&((struct mock_id *)event->id)->unacked, -1);
	unmake(event, &mock.cm_events);
	return 0;
}

const char *rdma_event_str(enum rdma_cm_event_type event)
{
	switch (event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		return "RDMA_CM_EVENT_ADDR_RESOLVED";
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		return "RDMA_CM_EVENT_ROUTE_RESOLVED";
	case RDMA_CM_EVENT_ESTABLISHED:
		return "RDMA_CM_EVENT_ESTABLISHED";
	case RDMA_CM_EVENT_UNREACHABLE:
		return "RDMA_CM_EVENT_UNREACHABLE";
	case RDMA_CM_EVENT_ADDR_ERROR:
		return "RDMA_CM_EVENT_ADDR_ERROR";
	default:
		return "UNKNOWN EVENT";
	}
}

/* --- its other side: who listens --- */

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
	(void)addr;
	if (fails("rdma_bind_addr"))
		return -1;
	id->verbs = &mock_contexts[mock.device];
	return 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
	if (fails("rdma_listen"))
		return -1;
	must(backlog > 0);
	mock.listener = id;
	return 0;
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
	(void)id;
	return htons(MOCK_PORT);
}

int rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	must(id->qp);
	if (fails("rdma_accept"))
		return -1;
	mock.param = *param;
	mock.accepted = id;
	mock.accepts++;
	return 0;
}

int rdma_reject(struct rdma_cm_id *id, const void *private_data,
		uint8_t private_data_len)
{
	must(!id->qp);
	memcpy(mock.refusal, private_data, private_data_len);
	mock.refusal_bytes = private_data_len;
	mock.rejects++;
	return 0;
}

int rdma_disconnect(struct rdma_cm_id *id)
{
	must(id->qp);
	return 0;
}

void mock_request(const void *data, uint8_t bytes)
{
	struct mock_answer *a = &mock.answer[MOCK_REQUEST];
	struct rdma_cm_id *id;

	memcpy(mock.private_data, data, bytes);
	a->private_data = mock.private_data;
	a->private_data_bytes = bytes;
	if (rdma_create_id(mock.listener->channel, &id, mock.listener->context,
			   RDMA_PS_TCP))
		abort();
	id->verbs = &mock_contexts[mock.device];
	id->route.addr.dst_addr.sa_family = AF_INET;
	answer(id, MOCK_REQUEST);
}

void mock_hang_up(void)
{
	answer(mock.accepted, MOCK_HANG_UP);
}
