/* What the tests of the RDMA transport's channels and links share: a channel
 * over mocked verbs, and links from it to a server. */
#ifndef RSWAP_TEST_RDMA_CHANNEL_H
#define RSWAP_TEST_RDMA_CHANNEL_H

#include "mock_verbs.h"
#include "support.h"
#include "transport/rdma.h"

static const struct transport_ops *const rdma = &transport_rdma;

/* Of the test that runs, from channel_start to channel_stop. */
extern struct channel *channel;
extern struct link *link_; /* the last that connect_link made */
extern struct error why;   /* why the last connect_link failed */

int channel_start(void **state);
/* Destroys the channel, and asserts that nothing is left. */
int channel_stop(void **state);

#define with_channel(test)                                                     \
	cmocka_unit_test_setup_teardown(test, channel_start, channel_stop)

/* Connects a link to a server that has MS to answer.  Any thread. */
int connect_to_server(uint64_t ms, struct link **made, struct error *told);
int connect_within(uint64_t ms);
int connect_link(void);

/* What a link alone has. */
void assert_no_link_left(void);
/* The channel has N domains, each whole, and nothing else was made. */
void assert_domains(unsigned n);

#endif
