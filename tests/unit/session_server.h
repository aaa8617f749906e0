/* The memory server's sessions without a network: a pool of few slabs, and
 * links and clients that only note what they are told. */
#ifndef RSWAP_TEST_SESSION_SERVER_H
#define RSWAP_TEST_SESSION_SERVER_H

#include "fake_client.h"
#include "server/server.h"
#include "session/session.h"

#define SLAB (1ull << 20)

extern struct config config;
extern struct server server;
extern unsigned server_slabs; /* of the pool, from the next setup on */
extern unsigned closed;	      /* links that were told to close */

/* For cmocka: before and after each test. */
int server_setup(void **state);
int server_teardown(void **state);

struct session *open_session(uint32_t transport);
/* The same of a client with that IDENTITY, "" for none. NULL when refused:
 * open_refusal says why. */
struct session *open_session_as(const char *identity, uint32_t transport);
/* The same of CLIENT. */
struct session *open_session_of(struct client *client, uint32_t transport);
extern uint32_t open_lanes; /* that it asks for */
extern struct error open_refusal;
/* A token of SESSION, as JOIN carries it. */
struct wire_join join_of(struct session *session);
/* link_admit, and why it refused. */
struct link_set *admit(const struct wire_join *join,
		       const struct link_ops *ops);
extern struct error admit_refusal;
/* Makes LINK a link of SESSION; link_gone ends it. */
void join_lane(struct session *session, struct link *link);

void end_all_sessions(void);

/* Runs the server until there were so many replies. */
void await_replies(unsigned n);

#endif
