/* A client of the memory server that is no plugin: it opens sessions, joins
 * lanes over RDMA, and posts any work request that a test wants.
 *
 * One thread.  Whatever should work and does not ends the program with a
 * message (die). */
#ifndef RSWAP_TEST_VERBS_CLIENT_H
#define RSWAP_TEST_VERBS_CLIENT_H

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>

#include "net.h"
#include "stream.h"
#include "wire.h"

/* Lanes move at most that many bytes at a time. */
#define LANE_BYTES (1u << 20)

__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format,
							 ...);

/* A session, and the control connection that opened it. */
struct verbs_client {
	struct net_addr addr; /* of the control connection */
	struct stream stream;
	uint32_t cookie;
	uint64_t label;
	struct wire_welcome welcome;
	struct wire_opened opened;
};

/* At HOST, which may name a port, with the keys of TLS. */
void client_open(struct verbs_client *client, const char *host,
		 const struct tls_context *tls);
/* Ends the session. */
void client_bye(struct verbs_client *client);
/* Asks, and dies unless the reply has type REPLY_TYPE. */
struct wire_message client_call(struct verbs_client *client,
				struct wire_message request,
				uint16_t reply_type);
struct wire_slab client_alloc(struct verbs_client *client);
void client_free(struct verbs_client *client, uint32_t slab);
/* A token; waits until a lane that was closed is gone, if all are in use. */
struct wire_token client_token(struct verbs_client *client);
void client_fence(struct verbs_client *client);

struct lane {
	struct rdma_cm_id *id;
	struct ibv_mr *mr;
	uint8_t *bytes; /* LANE_BYTES */
};

/* Joins by TOKEN.  True, or false and the code of the server's ERROR. */
bool lane_join(struct lane *lane, struct verbs_client *client,
	       const struct wire_token *token, uint32_t *code);
/* With a token of the client's own. */
void lane_open(struct lane *lane, struct verbs_client *client);
void lane_close(struct lane *lane);

/* What a work request does to a slab. */
struct access {
	enum ibv_wr_opcode op;
	uint32_t rkey;
	uint64_t offset;
	uint32_t bytes;
};

/* Moves bytes between the beginning of lane->bytes and a slab.  A lane that has
 * failed once is of no use any more. */
enum ibv_wc_status lane_do(struct lane *lane, const struct access *access);

#endif
