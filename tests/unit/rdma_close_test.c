/* An RDMA device that does not free what it was asked to free, over mocked
 * verbs. */
#include "rdma_channel.h"
#include "transport/rdma_reaper.h"

#include <errno.h>
#include <sys/mman.h>

/* --- a queue pair that the device does not destroy --- */

static void refuse(const char *call)
{
	mock.fail = call;
	mock.fail_errno = EBUSY;
}

static void refuse_to_destroy(void)
{
	refuse("ibv_destroy_qp");
}

/* The closed link is whole until its queue pair can be destroyed, at the next
 * connection of its channel. */
static void ibv_destroy_qp__EBUSY(void **state)
{
	(void)state;
	assert_int_equal(connect_link(), 0);
	refuse_to_destroy();
	rdma->link_close(link_);
	assert_int_equal(mock.ids, 1);
	assert_int_equal(mock.cm_channels, 1);
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.qps, 2);
	assert_int_equal(mock.qp_destroys, 2);
	mock.fail = NULL;
	rdma->link_close(link_);
	assert_int_equal(mock.qps, 1);
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.qps, 1);
	rdma->link_close(link_);
	assert_no_link_left();
}

/* Where connecting fails as well. */
static void ibv_destroy_qp__EBUSY_of_a_link_that_failed(void **state)
{
	(void)state;
	mock.fail_too = "rdma_connect";
	refuse_to_destroy();
	assert_int_equal(connect_link(), -EBUSY);
	assert_contains(why.text, "rdma_connect");
	assert_int_equal(mock.qps, 1);
	assert_int_equal(mock.ids, 1);
	mock.fail = mock.fail_too = NULL;
	assert_int_equal(connect_link(), 0);
	assert_int_equal(mock.qps, 1);
	rdma->link_close(link_);
	assert_no_link_left();
}

/* As on a machine without memory: see transport/rdma_reaper.h. */
static void an_id_that_the_kernel_keeps_holds_up_nobody(void **state)
{
	struct link *first;

	(void)state;
	assert_int_equal(connect_link(), 0);
	first = link_;
	atomic_store(&mock.keeps_ids, true);
	rdma->link_close(first);
	assert_int_equal(mock.qps, 0);
	assert_int_equal(connect_link(), 0);
	mock.fail = "rdma_connect";
	mock.fail_errno = ENOMEM;
	assert_int_equal(connect_to_server(LONG_MS, &first, &why), -ENOMEM);
	mock.fail = NULL;
	assert_false(rdma_reaper_wait(after_ms(1)));
	atomic_store(&mock.keeps_ids, false);
	rdma->link_close(link_);
	assert_no_link_left();
}

/* The device may still write to the buffer. */
static void a_stuck_queue_pair_keeps_its_channel_closed(void **state)
{
	char page[4096];
	struct xfer x = { .op = XFER_READ, .bytes = sizeof page, .buf = page };

	(void)state;
	assert_int_equal(connect_link(), 0);
	mock.hold = mock.no_flush = true;
	x.link = link_;
	rdma->submit(channel, &x, 1, after_ms(LONG_MS));
	rdma->link_abort(link_);
	rdma->abandon(channel, &x, 1);
	assert_int_equal(x.status, -ETIMEDOUT);
	assert_false(channel_is_usable(channel));
	refuse_to_destroy();
	rdma->link_close(link_);
	assert_false(channel_is_usable(channel));
	mock.fail = NULL;
	assert_int_equal(connect_link(), 0);
	assert_true(channel_is_usable(channel));
	rdma->link_close(link_);
}

static void a_channel_outlives_its_end_with_its_queue_pair(void **state)
{
	(void)state;
	assert_int_equal(connect_link(), 0);
	refuse_to_destroy();
	rdma->link_close(link_);
	rdma->channel_destroy(channel);
	assert_domains(1);
	assert_int_equal(mock.qps, 1);
	mock.fail = NULL; /* stop() destroys it again, in full */
}

/* --- a domain that the device does not free --- */

static bool is_mapped(const char *page)
{
	unsigned char in_core;

	return mincore((void *)page, 1, &in_core) == 0;
}

/* The device refuses CALL at the channel's end: the buffer, which the device
 * may still write to, and all that CALL would have freed stay. */
static void assert_stays(const char *call, const int *count)
{
	const char *buffer = ((struct rdma_channel *)channel)->buffer;

	assert_int_equal(connect_link(), 0);
	rdma->link_close(link_);
	refuse(call);
	rdma->channel_destroy(channel);
	assert_true(is_mapped(buffer));
	assert_int_equal(*count, 1);
	mock.fail = NULL; /* channel_stop destroys the channel, in full */
}

#define REFUSED_CALL(call, count)                                              \
	static void call##__EBUSY_at_the_end(void **state)                     \
	{                                                                      \
		(void)state;                                                   \
		assert_stays(#call, &mock.count);                              \
	}

REFUSED_CALL(ibv_destroy_cq, cqs)
REFUSED_CALL(ibv_destroy_comp_channel, channels)
REFUSED_CALL(ibv_dereg_mr, mrs)
REFUSED_CALL(ibv_dealloc_pd, pds)

/* What is left of a domain that was not made in full is freed before another
 * is made in its place. */
static void ibv_dereg_mr__EBUSY_of_a_domain_that_failed(void **state)
{
	(void)state;
	mock.fail_too = "ibv_create_cq";
	refuse("ibv_dereg_mr");
	assert_int_equal(connect_link(), -EBUSY);
	assert_contains(why.text, "a completion queue");
	assert_int_equal(mock.mrs, 1);
	mock.fail_too = NULL;
	assert_int_equal(connect_link(), -EBUSY);
	assert_contains(why.text, "mock0");
	assert_int_equal(mock.mrs, 1);
	mock.fail = NULL;
	assert_int_equal(connect_link(), 0);
	assert_domains(1);
	rdma->link_close(link_);
}

/* The same where no other connection follows. */
static void ibv_dereg_mr__EBUSY_of_the_last_domain(void **state)
{
	const char *buffer = ((struct rdma_channel *)channel)->buffer;

	(void)state;
	mock.fail_too = "ibv_create_cq";
	refuse("ibv_dereg_mr");
	assert_int_equal(connect_link(), -EBUSY);
	rdma->channel_destroy(channel);
	assert_true(is_mapped(buffer));
	mock.fail = mock.fail_too = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_channel(an_id_that_the_kernel_keeps_holds_up_nobody),
		with_channel(ibv_destroy_qp__EBUSY),
		with_channel(ibv_destroy_qp__EBUSY_of_a_link_that_failed),
		with_channel(a_stuck_queue_pair_keeps_its_channel_closed),
		with_channel(a_channel_outlives_its_end_with_its_queue_pair),
		with_channel(ibv_destroy_cq__EBUSY_at_the_end),
		with_channel(ibv_destroy_comp_channel__EBUSY_at_the_end),
		with_channel(ibv_dereg_mr__EBUSY_at_the_end),
		with_channel(ibv_dealloc_pd__EBUSY_at_the_end),
		with_channel(ibv_dereg_mr__EBUSY_of_a_domain_that_failed),
		with_channel(ibv_dereg_mr__EBUSY_of_the_last_domain),
	};

	return cmocka_run_group_tests_name("rdma objects that stay", tests,
					   NULL, NULL);
}
