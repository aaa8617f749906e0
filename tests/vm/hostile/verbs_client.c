#include "verbs_client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "net.h"
#include "private_data.h"
#include "wireio.h"

/* The server answers within this time.  A guest may be slow. */
#define ANSWER_NS  (60 * NS_PER_S)
#define RESOLVE_MS 10000

void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("hostile-verbs: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static uint64_t soon(void)
{
	return clock_now_ns() + ANSWER_NS;
}

/* --- control --- */

/* The reply, or ERROR.  The server's wishes for slabs are not heard. */
static struct wire_message ask(struct verbs_client *c,
			       struct wire_message request)
{
	uint64_t deadline_ns = soon();
	struct wire_message reply;
	struct error why;

	request.cookie = ++c->cookie;
	if (wire_send(&c->stream, &request, deadline_ns, &why) < 0)
		die("%s", why.text);
	do {
		if (wire_recv(&c->stream, &reply, deadline_ns, &why) < 0)
			die("%s: %s", wire_type_name(request.type), why.text);
	} while (reply.type == WIRE_RELEASE);
	return reply;
}

struct wire_message client_call(struct verbs_client *c,
				struct wire_message request,
				uint16_t reply_type)
{
	struct wire_message reply = ask(c, request);

	if (reply.type == WIRE_ERROR)
		die("%s: %s", wire_type_name(request.type), reply.error.text);
	if (reply.type != reply_type)
		die("%s was answered by %s", wire_type_name(request.type),
		    wire_type_name(reply.type));
	return reply;
}

void client_open(struct verbs_client *c, const char *host,
		 const struct tls_context *tls)
{
	struct wire_message m;
	struct net_name name;
	struct net_addrs addrs;
	struct error why;
	int fd;

	*c = (struct verbs_client){ .cookie = 0 };
	if (!net_name_parse(host, WIRE_DEFAULT_PORT, &name, &why) ||
	    net_resolve(&name, &addrs, &why) < 0)
		die("%s: %s", host, why.text);
	c->addr = addrs.addr[0];
	fd = net_connect(&c->addr, soon(), &why);
	if (fd < 0)
		die("%s: %s", host, why.text);
	c->stream = stream_plain(fd);
	if (stream_secure(&c->stream, tls, soon(), &why) < 0)
		die("%s: %s", host, why.text);
	wire_hello_fill(&m, "hostile");
	c->welcome = client_call(c, m, WIRE_WELCOME).welcome;
	m = (struct wire_message){
		.type = WIRE_OPEN,
		.open = { .size_bytes = UINT64_C(1) << 30,
			  .lanes = c->welcome.max_lanes,
			  .transport = WIRE_TRANSPORT_RDMA },
	};
	c->opened = client_call(c, m, WIRE_OPENED).opened;
}

void client_bye(struct verbs_client *c)
{
	struct wire_message bye = { .type = WIRE_BYE };
	struct error why;

	if (wire_send(&c->stream, &bye, soon(), &why) < 0)
		die("%s", why.text);
	stream_close(&c->stream);
}

struct wire_slab client_alloc(struct verbs_client *c)
{
	struct wire_message m = { .type = WIRE_ALLOC,
				  .alloc.label = c->label++ };

	return client_call(c, m, WIRE_SLAB).slab;
}

void client_free(struct verbs_client *c, uint32_t slab)
{
	struct wire_message m = { .type = WIRE_FREE, .free.slab = slab };

	client_call(c, m, WIRE_FREED);
}

void client_fence(struct verbs_client *c)
{
	struct wire_message m = { .type = WIRE_FENCE };

	client_call(c, m, WIRE_FENCED);
}

struct wire_token client_token(struct verbs_client *c)
{
	struct wire_message m = { .type = WIRE_LANE };
	uint64_t deadline_ns = soon();
	struct wire_message reply = ask(c, m);

	while (reply.type == WIRE_ERROR && reply.error.code == WIRE_E_LIMIT &&
	       clock_left_ns(deadline_ns)) {
		clock_sleep_ns(10 * NS_PER_MS);
		reply = ask(c, m);
	}
	if (reply.type != WIRE_TOKEN)
		die("LANE was answered by %s", wire_type_name(reply.type));
	return reply.token;
}

/* --- lanes --- */

/* An id without an event channel: each call waits until it is done. */
static struct rdma_cm_id *id_to(const struct verbs_client *c)
{
	struct ibv_qp_init_attr attr = {
		.cap = { .max_send_wr = 1,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	struct net_addr addr = c->addr;
	struct rdma_cm_id *id;

	net_addr_set_port(&addr, c->welcome.rdma_port);
	if (rdma_create_id(NULL, &id, NULL, RDMA_PS_TCP) < 0)
		die("rdma_create_id: %s", strerror(errno));
	if (rdma_resolve_addr(id, NULL, (struct sockaddr *)&addr.storage,
			      RESOLVE_MS) < 0)
		die("rdma_resolve_addr: %s", strerror(errno));
	if (rdma_resolve_route(id, RESOLVE_MS) < 0)
		die("rdma_resolve_route: %s", strerror(errno));
	if (rdma_create_qp(id, NULL, &attr) < 0)
		die("rdma_create_qp: %s", strerror(errno));
	return id;
}

/* The code of the ERROR with which the server refused. */
static uint32_t refusal(const struct rdma_cm_id *id)
{
	const struct rdma_cm_event *event = id->event;
	struct wire_message m;

	if (!event || event->event != RDMA_CM_EVENT_REJECTED)
		die("rdma_connect: %s", strerror(errno));
	if (private_data_decode(event->param.conn.private_data,
				event->param.conn.private_data_len, WIRE_ERROR,
				&m) != WIRE_OK)
		die("the connection was rejected without an ERROR");
	return m.error.code;
}

bool lane_join(struct lane *lane, struct verbs_client *c,
	       const struct wire_token *token, uint32_t *code)
{
	struct wire_message join = { .type = WIRE_JOIN };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	struct rdma_conn_param param = { .private_data = bytes,
					 .initiator_depth = 1,
					 .retry_count = 7 };

	join.join = (struct wire_join){ .session = token->session,
					.lane = token->lane };
	memcpy(join.join.token, token->token, sizeof join.join.token);
	param.private_data_len = (uint8_t)wire_encode(&join, bytes);
	*lane = (struct lane){ .id = id_to(c) };
	if (rdma_connect(lane->id, &param) < 0) {
		*code = refusal(lane->id);
		lane_close(lane);
		return false;
	}
	lane->bytes = aligned_alloc(4096, LANE_BYTES);
	if (!lane->bytes)
		die("out of memory");
	lane->mr = ibv_reg_mr(lane->id->pd, lane->bytes, LANE_BYTES,
			      IBV_ACCESS_LOCAL_WRITE);
	if (!lane->mr)
		die("ibv_reg_mr: %s", strerror(errno));
	return true;
}

void lane_open(struct lane *lane, struct verbs_client *c)
{
	struct wire_token token = client_token(c);
	uint32_t code;

	if (!lane_join(lane, c, &token, &code))
		die("a good token was refused with error %u", code);
}

void lane_close(struct lane *lane)
{
	if (lane->mr) {
		rdma_disconnect(lane->id);
		ibv_dereg_mr(lane->mr);
	}
	free(lane->bytes);
	rdma_destroy_qp(lane->id);
	rdma_destroy_id(lane->id);
}

static enum ibv_wc_status await_completion(struct ibv_cq *cq)
{
	uint64_t deadline_ns = soon();
	struct ibv_wc wc;
	int n;

	while ((n = ibv_poll_cq(cq, 1, &wc)) == 0) {
		if (!clock_left_ns(deadline_ns))
			die("a work request does not end");
		clock_sleep_ns(NS_PER_MS / 10);
	}
	if (n < 0)
		die("ibv_poll_cq fails");
	return wc.status;
}

enum ibv_wc_status lane_do(struct lane *lane, const struct access *access)
{
	struct ibv_sge sge = { .addr = (uintptr_t)lane->bytes,
			       .length = access->bytes,
			       .lkey = lane->mr->lkey };
	struct ibv_send_wr wr = { .sg_list = &sge,
				  .num_sge = 1,
				  .opcode = access->op };
	struct ibv_send_wr *bad;
	int err;

	if (access->op == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = access->offset;
		wr.wr.atomic.compare_add = 1;
		wr.wr.atomic.rkey = access->rkey;
	} else {
		wr.wr.rdma.remote_addr = access->offset;
		wr.wr.rdma.rkey = access->rkey;
	}
	err = ibv_post_send(lane->id->qp, &wr, &bad);
	if (err)
		die("ibv_post_send: %s", strerror(err));
	return await_completion(lane->id->send_cq);
}
