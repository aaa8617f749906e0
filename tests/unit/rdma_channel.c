#include "rdma_channel.h"
#include "transport/rdma_reaper.h"

#include <netinet/in.h>

#define BUFFER_BYTES (256 * 1024)

struct channel *channel;
struct link *link_;
struct error why;

int channel_start(void **state)
{
	const struct channel_config config = { .buffer_bytes = BUFFER_BYTES,
					       .outside_bytes = BUFFER_BYTES };

	(void)state;
	mock_reset();
	why.text[0] = '\0';
	return rdma->channel_create(&config, &channel, &why);
}

int channel_stop(void **state)
{
	(void)state;
	rdma->channel_destroy(channel);
	assert_nothing_left();
	return 0;
}

int connect_to_server(uint64_t ms, struct link **made, struct error *told)
{
	struct link_target target = { .rdma_port = 4711,
				      .timeout_ns = NS_PER_S,
				      .new_token = test_token };
	struct sockaddr_in *sin = (struct sockaddr_in *)&target.addr.storage;

	sin->sin_family = AF_INET;
	sin->sin_port = htons(10909);
	sin->sin_addr.s_addr = htonl(0x0a000001);
	target.addr.length = sizeof *sin;
	return rdma->link_connect(channel, &target, after_ms(ms), made, told);
}

int connect_within(uint64_t ms)
{
	return connect_to_server(ms, &link_, &why);
}

int connect_link(void)
{
	return connect_within(LONG_MS);
}

void assert_no_link_left(void)
{
	assert_true(rdma_reaper_wait(after_ms(LONG_MS)));
	assert_int_equal(mock.cm_channels, 0);
	assert_int_equal(mock.ids, 0);
	assert_int_equal(mock.cm_events, 0);
	assert_int_equal(mock.qps, 0);
}

void assert_domains(unsigned n)
{
	const struct rdma_channel *c = (struct rdma_channel *)channel;

	assert_int_equal(atomic_load(&c->n_domains), n);
	assert_int_equal(mock.pds, n);
	assert_int_equal(mock.mrs, n);
	assert_int_equal(mock.channels, n);
	assert_int_equal(mock.cqs, n);
}
