#include "mock_inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* As verbs.h tells them, to be defined here. */
#undef ibv_get_device_list
#undef ibv_reg_mr
#undef ibv_reg_mr_iova

struct mock_verbs mock;

pthread_mutex_t mock_lock = PTHREAD_MUTEX_INITIALIZER;

struct mock_cq {
	struct ibv_cq cq; /* first */
	struct ibv_wc wc[WORK_MAX];
	size_t n_wc;
	bool armed;
	unsigned events, acked;
};

static struct ibv_device devices[MOCK_DEVICES];
struct ibv_context mock_contexts[MOCK_DEVICES];
struct mock_id *mock_ids;

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
		if (mock.no_memory)
			return;
		signal_fd(cq->cq.channel->fd);
	}
}

static void copy(const struct work *w)
{
	void *local = (void *)(uintptr_t)w->sge.addr;
	void *remote = mock.remote + w->wr.wr.rdma.remote_addr;

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
	for (struct mock_id *m = mock_ids; m; m = m->next)
		finish(m);
}

void mock_finish(void)
{
	pthread_mutex_lock(&mock_lock);
	finish_all();
	pthread_mutex_unlock(&mock_lock);
}

/* The memory regions of the programs, by the order in which they came. */
static struct ibv_mr *regions[64];

static void note_region(const struct ibv_mr *gone, struct ibv_mr *came)
{
	size_t i = 0;

	while (regions[i] != gone)
		must(++i < COUNT(regions));
	regions[i] = came;
}

/* As a device refuses what lies in no region of the queue pair's domain. */
static bool is_registered(const struct ibv_pd *pd, const struct ibv_sge *sge)
{
	for (size_t i = 0; i < COUNT(regions); i++) {
		const struct ibv_mr *mr = regions[i];
		uint64_t from = mr ? (uintptr_t)mr->addr : 0;

		if (mr && mr->pd == pd && mr->lkey == sge->lkey &&
		    sge->addr >= from &&
		    sge->addr + sge->length <= from + mr->length)
			return true;
	}
	return false;
}

static void take_work(struct mock_id *m, const struct ibv_send_wr *wr)
{
	struct work *w = &m->work[m->n_work++];

	if (m->n_work > mock.qp_attr.cap.max_send_wr)
		abort();
	must(wr->num_sge == 1);
	must(is_registered(m->qp.pd, wr->sg_list));
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

	pthread_mutex_lock(&mock_lock);
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
	pthread_mutex_unlock(&mock_lock);
	return rc;
}

static int poll_cq(struct ibv_cq *ibv, int n, struct ibv_wc *wc)
{
	struct mock_cq *cq = (struct mock_cq *)ibv;
	size_t got;

	pthread_mutex_lock(&mock_lock);
	got = cq->n_wc < (size_t)n ? cq->n_wc : (size_t)n;
	mock.polls++;
	if (fails("ibv_poll_cq")) {
		pthread_mutex_unlock(&mock_lock);
		return -1;
	}
	memcpy(wc, cq->wc, got * sizeof *wc);
	cq->n_wc -= got;
	memmove(cq->wc, cq->wc + got, cq->n_wc * sizeof *wc);
	pthread_mutex_unlock(&mock_lock);
	return (int)got;
}

static int req_notify_cq(struct ibv_cq *ibv, int solicited_only)
{
	struct mock_cq *cq = (struct mock_cq *)ibv;
	int rc = 0;

	pthread_mutex_lock(&mock_lock);
	must(!solicited_only);
	mock.arms[ibv->context - mock_contexts]++;
	if (fails("ibv_req_notify_cq")) {
		rc = mock.fail_errno;
	} else {
		if (mock.finish_on_arm)
			finish_all();
		cq->armed = true;
	}
	pthread_mutex_unlock(&mock_lock);
	return rc;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	struct mock_id *m = id_of_qp(qp);

	pthread_mutex_lock(&mock_lock);
	must(mask == IBV_QP_STATE && attr->qp_state == IBV_QPS_ERR);
	mock.to_error++;
	m->in_error = true;
	if (!mock.no_flush)
		finish(m);
	pthread_mutex_unlock(&mock_lock);
	return 0;
}

/* --- a device and what is made on it --- */

struct ibv_device **ibv_get_device_list(int *n)
{
	struct ibv_device **list;

	*n = 0;
	mock.env_set = getenv("RDMAV_ALLOW_DISASSOC_DESTROY");
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
	attr->max_qp_init_rd_atom = attr->max_qp_rd_atom = MOCK_READS;
	return fails("ibv_query_device") ? mock.fail_errno : 0;
}

int ibv_query_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask,
		 struct ibv_qp_init_attr *init)
{
	(void)qp;
	must(mask == (IBV_QP_PATH_MTU | IBV_QP_AV));
	memset(init, 0, sizeof *init);
	*attr = (struct ibv_qp_attr){ .path_mtu = IBV_MTU_2048,
				      .ah_attr.grh.sgid_index = 3 };
	return fails("ibv_query_qp") ? mock.fail_errno : 0;
}

/* ::ffff:10.0.0.2, where the port and the index are those of the link. */
int ibv_query_gid(struct ibv_context *context, uint8_t port, int index,
		  union ibv_gid *gid)
{
	(void)context;
	must(port == 1 && index == 3);
	*gid = (union ibv_gid){ .raw = { [10] = 0xff, 0xff, 10, 0, 0, 2 } };
	return fails("ibv_query_gid") ? -1 : 0;
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
	if (fails("ibv_dealloc_pd"))
		return mock.fail_errno;
	must(pd->handle == 0);
	unmake(pd, &mock.pds);
	return 0;
}

static struct ibv_mr *register_memory(const char *call, struct ibv_pd *pd,
				      void *addr, size_t length, uint64_t iova,
				      unsigned int access)
{
	struct ibv_mr *mr;

	if (fails(call))
		return NULL;
	must((uintptr_t)addr % 4096 == 0);
	mr = make(sizeof *mr, &mock.mrs);
	*mr = (struct ibv_mr){ .pd = pd, .addr = addr, .length = length };
	pthread_mutex_lock(&mock_lock);
	mock.last_mr =
		(struct mock_mr){ .pd = pd,
				  .iova = iova,
				  .length = length,
				  .access = (int)access,
				  .rkey = MOCK_RKEY + mock.registered++ };
	mr->lkey = mr->rkey = mock.last_mr.rkey;
	note_region(NULL, mr);
	pthread_mutex_unlock(&mock_lock);
	use(&pd->handle, 1);
	return mr;
}

uint32_t mock_last_rkey(void)
{
	uint32_t rkey;

	pthread_mutex_lock(&mock_lock);
	rkey = mock.last_mr.rkey;
	pthread_mutex_unlock(&mock_lock);
	return rkey;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length,
			  int access)
{
	return register_memory("ibv_reg_mr", pd, addr, length, (uintptr_t)addr,
			       (unsigned)access);
}

struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t length,
			       uint64_t iova, int access)
{
	return register_memory("ibv_reg_mr_iova", pd, addr, length, iova,
			       (unsigned)access);
}

/* What the macros of both turn to without optimization. */
struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length,
				uint64_t iova, unsigned int access)
{
	return register_memory(iova == (uintptr_t)addr ? "ibv_reg_mr"
						       : "ibv_reg_mr_iova",
			       pd, addr, length, iova, access);
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	if (fails("ibv_dereg_mr"))
		return mock.fail_errno;
	pthread_mutex_lock(&mock_lock);
	note_region(mr, NULL);
	pthread_mutex_unlock(&mock_lock);
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
	if (fails("ibv_destroy_comp_channel"))
		return mock.fail_errno;
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
	if (channel)
		add(&channel->refcnt, 1);
	pthread_mutex_lock(&mock_lock);
	mock.cq_entries = entries;
	pthread_mutex_unlock(&mock_lock);
	return &cq->cq;
}

int ibv_destroy_cq(struct ibv_cq *ibv)
{
	struct mock_cq *cq = (struct mock_cq *)ibv;

	if (fails("ibv_destroy_cq"))
		return mock.fail_errno;
	must(ibv->handle == 0);
	must(cq->events == cq->acked); /* it would hang */
	if (ibv->channel)
		add(&ibv->channel->refcnt, -1);
	unmake(cq, &mock.cqs);
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *channel, struct ibv_cq **cq,
		     void **cq_context)
{
	pthread_mutex_lock(&mock_lock);
	if (fails("ibv_get_cq_event")) {
		mock.fail = NULL; /* once */
		pthread_mutex_unlock(&mock_lock);
		return -1;
	}
	pthread_mutex_unlock(&mock_lock);
	take_signal(channel->fd);
	*cq_context = NULL;
	for (struct mock_id *m = mock_ids; m; m = m->next) {
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

/* --- the test's side --- */

void mock_reset(void)
{
	memset(&mock, 0, sizeof mock);
	for (unsigned i = 0; i < MOCK_DEVICES; i++) {
		snprintf(devices[i].name, sizeof devices[i].name, "mock%u", i);
		devices[i].transport_type = IBV_TRANSPORT_IB;
		mock_contexts[i].device = &devices[i];
		mock_contexts[i].ops.post_send = post_send;
		mock_contexts[i].ops.poll_cq = poll_cq;
		mock_contexts[i].ops.req_notify_cq = req_notify_cq;
	}
}

void mock_is_iwarp(unsigned device)
{
	devices[device].transport_type = IBV_TRANSPORT_IWARP;
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
