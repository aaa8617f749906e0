#include "session_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "grants/grant.h"
#include "support.h"

struct config config;
struct server server;
unsigned server_slabs = 4;
unsigned closed;
static struct net_text peer = { "peer" };

int server_setup(void **state)
{
	struct slab_pool_config pool = { .memory_bytes = server_slabs * SLAB,
					 .slab_bytes = SLAB };
	struct error why;

	(void)state;
	quiet_log();
	config = (struct config){ .max_sessions = 3 };
	memset(&server, 0, sizeof server);
	server.config = &config;
	server.lanes_left = 20;
	list_init(&server.sessions);
	list_init(&server.controls);
	handout_init(&server);
	server.loop = ev_loop_new(EVFLAG_AUTO);
	mailbox_open(&server.box, server.loop);
	replies = abandoned = closed = 0;
	if (slab_pool_open(&server.pool, &pool, &server.preparer, &why) < 0)
		return -1;
	return workq_start(&server.preparer, "preparer", &server.box, &why);
}

int server_teardown(void **state)
{
	(void)state;
	workq_stop(&server.preparer);
	slab_pool_close(&server.pool);
	mailbox_close(&server.box);
	ev_loop_destroy(server.loop);
	return 0;
}

struct session *open_session(uint32_t transport)
{
	struct wire_open open = { .size_bytes = 4 * SLAB,
				  .lanes = 4,
				  .transport = transport };
	uint32_t code = 0;

	return session_open(&server, some_control(), "n a\tm", &peer, &open,
			    &code);
}

void await_replies(unsigned n)
{
	while (replies < n)
		ev_run(server.loop, EVRUN_ONCE);
}

struct wire_join join_of(struct session *session)
{
	struct wire_token token;
	struct wire_join join;

	assert_int_equal(session_token(session, &token), 0);
	join = (struct wire_join){ .session = token.session,
				   .lane = token.lane };
	memcpy(join.token, token.token, sizeof join.token);
	return join;
}

static void close_lane(struct lane *lane)
{
	(void)lane;
	closed++;
}

void join_lane(struct session *session, struct lane *lane)
{
	struct wire_join join = join_of(session);

	*lane = (struct lane){ .close = close_lane };
	assert_ptr_equal(session_admit(&server, &join, session->transport),
			 session);
	session_lane_joined(session, join.lane, lane);
}

void end_all_sessions(void)
{
	list_for_each(item, &server.sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (session->state != SESSION_ENDING)
			session_end(session, "test");
	}
}
