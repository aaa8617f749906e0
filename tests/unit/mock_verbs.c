#include "mock_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* As verbs.h tells them, to be defined here. */
#undef ibv_get_device_list
#undef ibv_reg_mr

#define WORK_MAX 256

struct mock_verbs mock;

/* Guards what threads share: the counts, the ids, and what a test asks for
 * later.  Never held while a test's own function runs. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct work {
	struct ibv_send_wr wr;
	struct ibv_sge sge;
};

/* A connection's id and its queue pair. */
struct mock_id {
	struct rdma_cm_id id; /* first */
	struct ibv_qp qp;
	bool in_error;
	struct work work[WORK_MAX];
	size_t n_work;
	enum mock_step step; /* whose answer comes next */
	struct mock_id *next;
};

struct mock_cq {
	struct ibv_cq cq; /* first */
	struct ibv_wc wc[WORK_MAX];
	size_t n_wc;
	bool armed;
	unsigned events, acked;
};

struct mock_event {
	struct rdma_cm_event event; /* first */
	char private_data[256];
};

static struct ibv_device devices[MOCK_DEVICES];
static struct ibv_context contexts[MOCK_DEVICES];
static struct mock_id *all_ids;

/* Whether this call of NAME is to fail; errno is set then. */
static bool fails(const char *name)
{
	if (!mock.fail || strcmp(mock.fail, name) != 0)
		return false;
	if (mock.fail_after > 0) {
		mock.fail_after--;
		return false;
	}
	errno = mock.fail_errno;
	return true;
}

static void must(bool condition)
{
	if (!condition)
		atomic_fetch_add(&mock.wrong, 1);
}

/* Changes one of the counts, of what exists or of who uses it. */
static void add(int *count, int n)
{
	pthread_mutex_lock(&lock);
	*count += n;
	pthread_mutex_unlock(&lock);
}

/* The handle of what is made here is how many use it. */
static void use(uint32_t *handle, int n)
{
	add((int *)handle, n);
}

static void *make(size_t bytes, int *count)
{
	void *object = calloc(1, bytes);

	if (!object)
		abort();
	add(count, 1);
	return object;
}

static void unmake(void *object, int *count)
{
	add(count, -1);
	free(object);
}

static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof one) != sizeof one)
		abort();
}

static void take_signal(int fd)
{
	uint64_t one;

	if (read(fd, &one, sizeof one) != sizeof one)
		abort();
}

/* --- work --- */

static struct mock_id *id_of_qp(struct ibv_qp *qp)
{
	return qp->qp_context;
}

static void add_completion(struct mock_id *m, const struct work *w,
			   enum ibv_wc_status status)
{
	struct mock_cq *cq = (struct mock_cq *)m->qp.send_cq;
	struct ibv_wc *wc = &cq->wc[cq->n_wc++];

	if (cq->n_wc > (size_t)cq->cq.cqe)
		abort(); /* an overrun */
	/* Of a failed one, all else is rubbish. */
	memset(wc, status == IBV_WC_SUCCESS ? 0 : 0xee, sizeof *wc);
	wc->wr_id = w->wr.wr_id;
	wc->status = status;
	wc->qp_num = m->qp.qp_num;
	if (cq->armed) {
		cq->armed = false;
		signal_fd(cq->cq.channel->fd);
	}
}

static void copy(const struct work *w)
{
	void *local = (void *)(uintptr_t)w->sge.addr;
	void *remote = (void *)(uintptr_t)w->wr.wr.rdma.remote_addr;

	if (w->wr.opcode == IBV_WR_RDMA_READ)
		memcpy(local, remote, w->sge.length);
	else
		memcpy(remote, local, w->sge.length);
}

static void do_work(struct mock_id *m, const struct work *w)
{
	if (m->in_error) {
		add_completion(m, w, IBV_WC_WR_FLUSH_ERR);
	} else if (mock.bad_at && --mock.bad_at == 0) {
		m->in_error = true;
		add_completion(m, w, mock.bad_status);
	} else {
		copy(w);
		if (w->wr.send_flags & IBV_SEND_SIGNALED)
			add_completion(m, w, IBV_WC_SUCCESS);
	}
}

static void finish(struct mock_id *m)
{
	for (size_t i = 0; i < m->n_work; i++)
		do_work(m, &m->work[i]);
	m->n_work = 0;
}

static void finish_all(void)
{
	for (struct mock_id *m = all_ids; m; m = m->next)
		finish(m);
}

void mock_finish(void)
{
	pthread_mutex_lock(&lock);
	finish_all();
	pthread_mutex_unlock(&lock);
}

static void take_work(struct mock_id *m, const struct ibv_send_wr *wr)
{
	struct work *w = &m->work[m->n_work++];

	if (m->n_work > mock.qp_attr.cap.max_send_wr)
		abort();
	must(wr->num_sge == 1);
	w->wr = *wr;
	w->sge = wr->sg_list[0];
	mock.last_chain++;
	mock.signalled += !!(wr->send_flags & IBV_SEND_SIGNALED);
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr,
		     struct ibv_send_wr **bad)
{
	struct mock_id *m = id_of_qp(qp);
	int rc = 0;

	pthread_mutex_lock(&lock);
	mock.posts++;
	mock.last_chain = 0;
	for (; wr; wr = wr->next) {
		if (fails("ibv_post_send")) {
			*bad = wr;
			rc = mock.fail_errno;
			break;
		}
		take_work(m, wr);
	}
	if ((!mock.hold || m->in_error) && !mock.no_flush)
		finish(m);
	pthread_mutex_unlock(&lock);
	return rc;
}

static int poll_cq(struct ibv_cq *ibv, int n, struct ibv_wc *wc)
{
	struct mock_cq *cq = (struct mock_cq *)ibv;
	size_t got;

	pthread_mutex_lock(&lock);
	got = cq->n_wc < (size_t)n ? cq->n_wc : (size_t)n;
	if (fails("ibv_poll_cq")) {
		pthread_mutex_unlock(&lock);
		return -1;
	}
	memcpy(wc, cq->wc, got * sizeof *wc);
	cq->n_wc -= got;
	memmove(cq->wc, cq->wc + got, cq->n_wc * sizeof *wc);
	pthread_mutex_unlock(&lock);
	return (int)got;
}

static int req_notify_cq(struct ibv_cq *ibv, int solicited_only)
{
	struct mock_cq *cq = (struct mock_cq *)ibv;
	int rc = 0;

	pthread_mutex_lock(&lock);
	must(!solicited_only);
	if (fails("ibv_req_notify_cq")) {
		rc = mock.fail_errno;
	} else {
		if (mock.finish_on_arm)
			finish_all();
		cq->armed = true;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	struct mock_id *m = id_of_qp(qp);

	pthread_mutex_lock(&lock);
	must(mask == IBV_QP_STATE && attr->qp_state == IBV_QPS_ERR);
	mock.to_error++;
	m->in_error = true;
	if (!mock.no_flush)
		finish(m);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* --- a device and what is made on it --- */

struct ibv_device **ibv_get_device_list(int *n)
{
	struct ibv_device **list;

	*n = 0;
	if (fails("ibv_get_device_list"))
		return NULL;
	list = make(2 * sizeof *list, &mock.lists);
	list[0] = mock.no_devices ? NULL : &devices[0];
	*n = !mock.no_devices;
	return list;
}

void ibv_free_device_list(struct ibv_device **list)
{
	unmake(list, &mock.lists);
}

const char *ibv_get_device_name(struct ibv_device *device)
{
	return device->name;
}

int ibv_query_device(struct ibv_context *context, struct ibv_device_attr *attr)
{
	(void)context;
	memset(attr, 0, sizeof *attr);
	attr->max_qp_init_rd_atom = 16;
	return fails("ibv_query_device") ? mock.fail_errno : 0;
}

struct ibv_pd *ibv_alloc_pd(struct ibv_context *context)
{
	struct ibv_pd *pd;

	if (mock.in_alloc_pd)
		mock.in_alloc_pd();
	if (fails("ibv_alloc_pd"))
		return NULL;
	pd = make(sizeof *pd, &mock.pds);
	pd->context = context;
	return pd;
}

int ibv_dealloc_pd(struct ibv_pd *pd)
{
	must(pd->handle == 0);
	unmake(pd, &mock.pds);
	return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length,
			  int access)
{
	struct ibv_mr *mr;

	if (fails("ibv_reg_mr"))
		return NULL;
	must((uintptr_t)addr % 4096 == 0);
	mr = make(sizeof *mr, &mock.mrs);
	*mr = (struct ibv_mr){ .pd = pd, .addr = addr, .length = length };
	pthread_mutex_lock(&lock);
	mock.mr_access = access;
	pthread_mutex_unlock(&lock);
	use(&pd->handle, 1);
	return mr;
}

/* What the macro ibv_reg_mr turns to without optimization. */
struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length,
				uint64_t iova, unsigned int access)
{
	(void)iova;
	return ibv_reg_mr(pd, addr, length, (int)access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	use(&mr->pd->handle, -1);
	unmake(mr, &mock.mrs);
	return 0;
}

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct ibv_comp_channel *channel;

	if (fails("ibv_create_comp_channel"))
		return NULL;
	channel = make(sizeof *channel, &mock.channels);
	channel->context = context;
	channel->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	return channel;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *channel)
{
	must(channel->refcnt == 0);
	close(channel->fd);
	unmake(channel, &mock.channels);
	return 0;
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int entries,
			     void *cq_context, struct ibv_comp_channel *channel,
			     int vector)
{
	struct mock_cq *cq;

	(void)vector;
	if (fails("ibv_create_cq"))
		return NULL;
	cq = make(sizeof *cq, &mock.cqs);
	cq->cq = (struct ibv_cq){ .context = context,
				  .channel = channel,
				  .cq_context = cq_context,
				  .cqe = entries };
	add(&channel->refcnt, 1);
	pthread_mutex_lock(&lock);
	mock.cq_entries = entries;
	pthread_mutex_unlock(&lock);
	return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *ibv)
{
	struct mock_cq *cq = (struct mock_cq *)ibv;

	must(ibv->handle == 0);
	must(cq->events == cq->acked); /* it would hang */
	add(&ibv->channel->refcnt, -1);
	unmake(cq, &mock.cqs);
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq,
		     void **cq_context)
{
	pthread_mutex_lock(&lock);
	if (fails("ibv_get_cq_event")) {
		mock.fail = NULL; /* once */
		pthread_mutex_unlock(&lock);
		return -1;
	}
	pthread_mutex_unlock(&lock);
	take_signal(channel->fd);
	*cq_context = NULL;
	for (struct mock_id *m = all_ids; m; m = m->next) {
		if (m->id.qp && m->qp.send_cq->channel == channel)
			*cq = m->qp.send_cq;
	}
	((struct mock_cq *)*cq)->events++;
	return 0;
}

void ibv_ack_cq_events(struct ibv_cq *cq, unsigned n)
{
	((struct mock_cq *)cq)->acked += n;
}

/* --- the connection manager --- */

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct rdma_event_channel *channel;

	if (fails("rdma_create_event_channel"))
		return NULL;
	channel = make(sizeof *channel, &mock.cm_channels);
	channel->fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
	return channel;
}

void rdma_destroy_event_channel(struct rdma_event_channel *channel)
{
	pthread_mutex_lock(&lock);
	for (struct mock_id *m = all_ids; m; m = m->next)
		must(m->id.channel != channel);
	pthread_mutex_unlock(&lock);
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
	pthread_mutex_lock(&lock);
	m->next = all_ids;
	all_ids = m;
	pthread_mutex_unlock(&lock);
	*id = &m->id;
	return 0;
}

int rdma_destroy_id(struct rdma_cm_id *id)
{
	struct mock_id **at = &all_ids;

	must(!id->qp && mock.cm_events == 0); /* it would leak, or hang */
	pthread_mutex_lock(&lock);
	while (*at != (struct mock_id *)id)
		at = &(*at)->next;
	*at = (*at)->next;
	pthread_mutex_unlock(&lock);
	unmake(id, &mock.ids);
	return 0;
}

/* The answer to STEP is on its way. */
static void answer(struct rdma_cm_id *id, enum mock_step step)
{
	((struct mock_id *)id)->step = step;
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
	pthread_mutex_lock(&lock);
	memcpy(&mock.addr, dst, sizeof(struct sockaddr_in));
	pthread_mutex_unlock(&lock);
	id->verbs = &contexts[mock.device];
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
	pthread_mutex_lock(&lock);
	mock.qp_attr = *attr;
	pthread_mutex_unlock(&lock);
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

void rdma_destroy_qp(struct rdma_cm_id *id)
{
	use(&id->qp->pd->handle, -1);
	use(&id->qp->send_cq->handle, -1);
	id->qp = NULL;
	add(&mock.qps, -1);
}

int rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	if (fails("rdma_connect"))
		return -1;
	pthread_mutex_lock(&lock);
	mock.param = *param;
	memcpy(mock.private_data, param->private_data, param->private_data_len);
	pthread_mutex_unlock(&lock);
	answer(id, MOCK_CONNECT);
	return 0;
}

static struct mock_id *id_of_channel(const struct rdma_event_channel *channel)
{
	struct mock_id *m;

	pthread_mutex_lock(&lock);
	m = all_ids;
	while (m->id.channel != channel)
		m = m->next;
	pthread_mutex_unlock(&lock);
	return m;
}

int rdma_get_cm_event(struct rdma_event_channel *channel,
		      struct rdma_cm_event **event)
{
	static const enum rdma_cm_event_type good[MOCK_STEPS] = {
		RDMA_CM_EVENT_ADDR_RESOLVED,
		RDMA_CM_EVENT_ROUTE_RESOLVED,
		RDMA_CM_EVENT_ESTABLISHED,
	};
	const struct mock_answer *a;
	struct mock_event *e;
	struct mock_id *m;

	if (fails("rdma_get_cm_event"))
		return -1;
	take_signal(channel->fd);
	m = id_of_channel(channel);
	a = &mock.answer[m->step];
	e = make(sizeof *e, &mock.cm_events);
	e->event.id = &m->id;
	e->event.event = a->other ? a->event : good[m->step];
	e->event.status = a->status;
	if (a->private_data)
		memcpy(e->private_data, a->private_data, a->private_data_bytes);
	e->event.param.conn.private_data = e->private_data;
	e->event.param.conn.private_data_len = a->private_data_bytes;
	*event = &e->event;
	return 0;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
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

/* --- the test's side --- */

void mock_reset(void)
{
	memset(&mock, 0, sizeof mock);
	for (unsigned i = 0; i < MOCK_DEVICES; i++) {
		snprintf(devices[i].name, sizeof devices[i].name, "mock%u", i);
		contexts[i].device = &devices[i];
		contexts[i].ops.post_send = post_send;
		contexts[i].ops.poll_cq = poll_cq;
		contexts[i].ops.req_notify_cq = req_notify_cq;
	}
}

void assert_nothing_left(void)
{
	assert_int_equal(mock.lists, 0);
	assert_int_equal(mock.cm_channels, 0);
	assert_int_equal(mock.ids, 0);
	assert_int_equal(mock.cm_events, 0);
	assert_int_equal(mock.qps, 0);
	assert_int_equal(mock.pds, 0);
	assert_int_equal(mock.mrs, 0);
	assert_int_equal(mock.channels, 0);
	assert_int_equal(mock.cqs, 0);
	assert_int_equal(mock.wrong, 0);
}
