/* The RDMA transport's channels, and connecting its links, over mocked verbs.
 */
#include "rdma_channel.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

/* --- good --- */

static void a_link_is_connected_to_the_servers_rdma_port(void **state)
{
	const struct sockaddr_in *sin = (struct sockaddr_in *)&mock.addr;

	(void)state;
	assert_int_equal(connect_link(), 0);
	assert_ptr_equal(link_->ops, rdma);
	assert_ptr_equal(link_->channel, channel);
	assert_int_equal(ntohs(sin->sin_port), 4711);
	assert_int_equal(ntohl(sin->sin_addr.s_addr), 0x0a000001);
	rdma->link_close(link_);
	assert_no_link_left();
}

static void the_join_travels_as_private_data(void **state)
{
	struct wire_message message;
	struct wire_header h;

	(void)state;
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.param.private_data_len, 48);
	assert_int_equal(wire_decode_header(mock.private_data, &h), WIRE_OK);
	assert_int_equal(wire_decode_body(&h, mock.private_data + 16, &message),
			 WIRE_OK);
	assert_int_equal(message.type, WIRE_JOIN);
	assert_int_equal(message.join.session, 7);
	assert_int_equal(message.join.lane, 3);
	assert_int_equal(message.join.token[0], 0xab);
	rdma->link_close(link_);
}

static void a_queue_pair_has_room_for_a_whole_submit(void **state)
{
	(void)state;
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.qp_attr.qp_type, IBV_QPT_RC);
	assert_int_equal(mock.qp_attr.cap.max_send_wr, TRANSPORT_MAX_XFERS);
	assert_int_equal(mock.qp_attr.sq_sig_all, 0);
	assert_true(mock.cq_entries >= TRANSPORT_MAX_XFERS);
	assert_int_equal(mock.param.initiator_depth, 16);
	rdma->link_close(link_);
}

static void a_link_tells_its_way(void **state)
{
	struct link_path path;

	(void)state;
	assert_int_equal(connect_link(), 0);
	rdma->link_describe(link_, &path);
	assert_string_equal(path.device, "mock0");
	assert_int_equal(path.port, 1);
	assert_string_equal(path.gid, "::ffff:10.0.0.2");
	assert_int_equal(path.gid_index, 3);
	assert_int_equal(path.mtu_bytes, 2048);
	mock.fail = "ibv_query_qp";
	mock.fail_errno = EINVAL;
	rdma->link_describe(link_, &path);
	assert_string_equal(path.device, "mock0");
	assert_string_equal(path.gid, "");
	assert_int_equal(path.mtu_bytes, 0);
	rdma->link_close(link_);
}

static void the_buffer_is_open_to_nobody_else(void **state)
{
	(void)state;
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.last_mr.access, IBV_ACCESS_LOCAL_WRITE);
	rdma->link_close(link_);
}

static void links_on_one_device_share_its_domain(void **state)
{
	struct link *first;

	(void)state;
	assert_int_equal(connect_link(), 0);
	first = link_;
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.pds, 1);
	assert_int_equal(mock.mrs, 1);
	assert_int_equal(mock.cqs, 1);
	assert_int_equal(mock.qps, 2);
	rdma->link_close(first);
	rdma->link_close(link_);
}

static void a_fifth_device_is_one_too_many(void **state)
{
	struct link *links[MAX_DOMAINS];

	(void)state;
	for (mock.device = 0; mock.device < MAX_DOMAINS; mock.device++) {
		assert_int_equal(connect_link(), 0);
		links[mock.device] = link_;
	}
	assert_int_equal(mock.pds, MAX_DOMAINS);
	assert_int_equal(connect_link(), -ENOSPC);
	assert_contains(why.text, "more than 4 RDMA devices");
	for (int i = 0; i < MAX_DOMAINS; i++)
		rdma->link_close(links[i]);
}

/* --- each call that fails --- */

/* Connecting fails with ERROR and a reason that contains TOLD; nothing of the
 * link is left, and the next attempt succeeds. */
static void assert_fails(const char *call, unsigned after, int error,
			 const char *told)
{
	mock.fail = call;
	mock.fail_errno = error;
	mock.fail_after = after;
	assert_int_equal(connect_link(), -error);
	assert_contains(why.text, told);
	assert_contains(why.text, strerror(error));
	assert_no_link_left();
	mock.fail = NULL;
	assert_int_equal(connect_link(), 0);
	rdma->link_close(link_);
}

#define FAILING_CALL(call, error, told)                                        \
	static void call##__##error(void **state)                              \
	{                                                                      \
		(void)state;                                                   \
		assert_fails(#call, 0, error, told);                           \
	}

FAILING_CALL(rdma_create_event_channel, EMFILE, "rdma_cm")
FAILING_CALL(rdma_create_id, ENODEV, "rdma_cm")
FAILING_CALL(rdma_resolve_addr, ENETUNREACH, "rdma_resolve_addr")
FAILING_CALL(rdma_get_cm_event, EIO, "rdma_get_cm_event")
FAILING_CALL(rdma_resolve_route, ENETDOWN, "rdma_resolve_route")
FAILING_CALL(ibv_alloc_pd, ENOMEM, "a protection domain on mock0")
FAILING_CALL(ibv_reg_mr, ENOMEM, "locked-memory limit")
FAILING_CALL(ibv_create_comp_channel, EMFILE, "a completion channel on mock0")
FAILING_CALL(ibv_create_cq, ENOSPC, "a completion queue on mock0")
FAILING_CALL(rdma_create_qp, ENOMEM, "a queue pair")
FAILING_CALL(ibv_query_device, EPERM, "ibv_query_device")
FAILING_CALL(rdma_connect, EINVAL, "rdma_connect")

static void rdma_get_cm_event__EIO_at_the_route(void **state)
{
	(void)state;
	assert_fails("rdma_get_cm_event", 1, EIO, "rdma_get_cm_event");
}

static void rdma_get_cm_event__EIO_at_the_connection(void **state)
{
	(void)state;
	assert_fails("rdma_get_cm_event", 2, EIO, "rdma_get_cm_event");
}

static void ibv_alloc_pd__ENOMEM_on_the_second_device(void **state)
{
	(void)state;
	assert_int_equal(connect_link(), 0);
	rdma->link_close(link_);
	mock.device = 1;
	assert_fails("ibv_alloc_pd", 0, ENOMEM, "a protection domain on mock1");
	assert_int_equal(mock.pds, 2);
}

/* --- each answer that is another --- */

static void assert_answer_fails(enum mock_step step, struct mock_answer answer,
				int status, const char *told)
{
	mock.answer[step] = answer;
	assert_int_equal(connect_within(answer.silent ? 50 : LONG_MS), status);
	assert_contains(why.text, told);
	assert_no_link_left();
	memset(&mock.answer[step], 0, sizeof mock.answer[step]);
}

static void silence_ends_at_the_deadline_of_each_step(void **state)
{
	const struct mock_answer silent = { .silent = true };

	(void)state;
	assert_answer_fails(MOCK_ADDR, silent, -ETIMEDOUT, "ADDR_RESOLVED");
	assert_answer_fails(MOCK_ROUTE, silent, -ETIMEDOUT, "ROUTE_RESOLVED");
	assert_answer_fails(MOCK_CONNECT, silent, -ETIMEDOUT, "ESTABLISHED");
}

static void another_event_is_told_with_its_status(void **state)
{
	struct mock_answer answer = { .other = true, .status = -110 };

	(void)state;
	answer.event = RDMA_CM_EVENT_ADDR_ERROR;
	assert_answer_fails(MOCK_ADDR, answer, -ECONNREFUSED,
			    "ADDR_ERROR (status -110)");
	answer.event = RDMA_CM_EVENT_UNREACHABLE;
	assert_answer_fails(MOCK_CONNECT, answer, -ECONNREFUSED,
			    "UNREACHABLE (status -110)");
}

static void a_rejection_tells_the_servers_own_words(void **state)
{
	struct wire_message error = { .type = WIRE_ERROR };
	struct mock_answer answer = { .other = true,
				      .event = RDMA_CM_EVENT_REJECTED,
				      .status = 28 };
	char data[WIRE_MESSAGE_MAX + 4] = "";

	(void)state;
	error.error.code = WIRE_E_TOKEN;
	strcpy(error.error.text, "that token joins nothing");
	answer.private_data = data;
	answer.private_data_bytes = sizeof data; /* the device pads it */
	wire_encode(&error, data);
	assert_answer_fails(MOCK_CONNECT, answer, -EREMOTEIO,
			    "refused: that token joins nothing");
}

static void a_rejection_without_words_tells_its_status(void **state)
{
	static const char rubbish[WIRE_MESSAGE_MAX] = "RSWP";
	struct mock_answer answer = { .other = true,
				      .event = RDMA_CM_EVENT_REJECTED,
				      .status = 8 };

	(void)state;
	assert_answer_fails(MOCK_CONNECT, answer, -EREMOTEIO,
			    "rdma_cm status 8");
	answer.private_data = rubbish;
	answer.private_data_bytes = 20;
	assert_answer_fails(MOCK_CONNECT, answer, -EREMOTEIO,
			    "rdma_cm status 8");
	answer.private_data_bytes = sizeof rubbish;
	assert_answer_fails(MOCK_CONNECT, answer, -EREMOTEIO,
			    "rdma_cm status 8");
}

/* --- availability --- */

static void a_device_makes_the_transport_available(void **state)
{
	(void)state;
	unsetenv("RDMAV_ALLOW_DISASSOC_DESTROY");
	assert_true(rdma->available(&why));
	assert_true(mock.env_set);
	assert_int_equal(mock.lists, 0);
	mock.no_devices = true;
	assert_false(rdma->available(&why));
	assert_contains(why.text, "no RDMA device");
	assert_int_equal(mock.lists, 0);
}

static void ibv_get_device_list__ENOSYS(void **state)
{
	(void)state;
	mock.fail = "ibv_get_device_list";
	mock.fail_errno = ENOSYS;
	assert_false(rdma->available(&why));
	assert_contains(why.text, "no RDMA device");
}

/* iWARP: a WRITE completes before its bytes have arrived. */
static void a_device_of_another_kind_is_left_alone(void **state)
{
	(void)state;
	mock_is_iwarp(0);
	assert_false(rdma->available(&why));
	assert_contains(why.text, "mock0 is neither InfiniBand nor RoCE");
	assert_int_equal(mock.lists, 0);
	assert_int_equal(connect_link(), -EOPNOTSUPP);
	assert_contains(why.text, "mock0 is neither InfiniBand nor RoCE");
	assert_int_equal(mock.pds, 0);
	assert_no_link_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_channel(a_link_is_connected_to_the_servers_rdma_port),
		with_channel(the_join_travels_as_private_data),
		with_channel(a_queue_pair_has_room_for_a_whole_submit),
		with_channel(a_link_tells_its_way),
		with_channel(the_buffer_is_open_to_nobody_else),
		with_channel(links_on_one_device_share_its_domain),
		with_channel(a_fifth_device_is_one_too_many),
		with_channel(rdma_create_event_channel__EMFILE),
		with_channel(rdma_create_id__ENODEV),
		with_channel(rdma_resolve_addr__ENETUNREACH),
		with_channel(rdma_get_cm_event__EIO),
		with_channel(rdma_resolve_route__ENETDOWN),
		with_channel(rdma_get_cm_event__EIO_at_the_route),
		with_channel(ibv_alloc_pd__ENOMEM),
		with_channel(ibv_alloc_pd__ENOMEM_on_the_second_device),
		with_channel(ibv_reg_mr__ENOMEM),
		with_channel(ibv_create_comp_channel__EMFILE),
		with_channel(ibv_create_cq__ENOSPC),
		with_channel(rdma_create_qp__ENOMEM),
		with_channel(ibv_query_device__EPERM),
		with_channel(rdma_connect__EINVAL),
		with_channel(rdma_get_cm_event__EIO_at_the_connection),
		with_channel(silence_ends_at_the_deadline_of_each_step),
		with_channel(another_event_is_told_with_its_status),
		with_channel(a_rejection_tells_the_servers_own_words),
		with_channel(a_rejection_without_words_tells_its_status),
		with_channel(a_device_makes_the_transport_available),
		with_channel(ibv_get_device_list__ENOSYS),
		with_channel(a_device_of_another_kind_is_left_alone),
	};

	return cmocka_run_group_tests_name("rdma connections", tests, NULL,
					   NULL);
}
