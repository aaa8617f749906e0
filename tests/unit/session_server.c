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
static struct peer_name peer = { "peer" };

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
	server.loop = ev_loop_new(EVFLAG_AUTO);
	mailbox_open(&server.box, server.loop);
	replies = abandoned = closed = 0;
	if (slab_pool_open(&server.pool, &pool, &server.preparer, &why) < 0)
		return -1;
	server_connect_parts(&server);
	accounts_limit_files(&server.sessions.accounts, 20);
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

static void note_close(struct link *link)
{
	(void)link;
	closed++;
}

/* OPS, but links only note that they are told to close. */
static const struct link_ops *fake_ops(const struct link_ops *ops)
{
	static struct link_ops fakes[2];
	struct link_ops *fake = &fakes[ops->wire_bit == WIRE_TRANSPORT_RDMA];

	*fake = *ops;
	fake->link_close = note_close;
	fake->link_drop_freed = NULL;
	return fake;
}

uint32_t open_lanes = 4;
struct error open_refusal;

struct session *open_session(uint32_t transport)
{
	return open_session_as("", transport);
}

struct session *open_session_as(const char *identity, uint32_t transport)
{
	struct client *client = some_client();

	client->identity = identity;
	return open_session_of(client, transport);
}

struct session *open_session_of(struct client *client, uint32_t transport)
{
	struct wire_open open = { .size_bytes = 4 * SLAB,
				  .lanes = open_lanes,
				  .transport = transport };
	uint32_t code = 0;
	struct session *session =
		session_open(&server.sessions, client, "n a\tm", &peer, &open,
			     &code, &open_refusal);

	if (session)
		session->links.ops = fake_ops(session->links.ops);
	return session;
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

	assert_int_equal(link_set_token(&session->links, &token), 0);
	join = (struct wire_join){ .session = token.session,
				   .lane = token.lane };
	memcpy(join.token, token.token, sizeof join.token);
	return join;
}

struct error admit_refusal;

struct link_set *admit(const struct wire_join *join, const struct link_ops *ops)
{
	return link_admit(&server.links, join, ops, &admit_refusal);
}

void join_lane(struct session *session, struct link *link)
{
	struct wire_join join = join_of(session);

	*link = (struct link){ .ops = session->links.ops };
	assert_ptr_equal(admit(&join, session->links.ops), &session->links);
	link_joined(&session->links, join.lane, link);
}

void end_all_sessions(void)
{
	struct session *next;

	for (struct session *session = TAILQ_FIRST(&server.sessions.list);
	     session; session = next) {
		next = TAILQ_NEXT(session, entry);
		if (session->state != SESSION_ENDING)
			session_end(session, "test");
	}
}
