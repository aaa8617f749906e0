/* The accounts of clients, and the limits.
 *
 * A client is an identity.  Where clients have no keys it is an IPv4 address or
 * an IPv6 network of 64 bits, as for newcomers (admission.h).  A client's
 * account is there as long as it has a session.
 *
 * These limits keep the server whole, and are the same for all.  What a tenant
 * may have is set in tenants/tenant.h, and both are asked.
 *
 * Main loop only. */
#ifndef RSWAP_MEMSERVER_ACCOUNTS_H
#define RSWAP_MEMSERVER_ACCOUNTS_H

#include <sys/queue.h>

#include "grants/account.h"
#include "grants/client.h"
#include "net.h"

struct client_account {
	struct account account;
	TAILQ_ENTRY(client_account) entry;
	char identity[WIRE_NAME_BYTES]; /* or "", and ADDR tells clients apart
					 */
	struct net_addr addr;
	unsigned sessions; /* that use the account */
};

struct accounts {
	struct account server;
	TAILQ_HEAD(, client_account) clients;
};

void accounts_init(struct accounts *accounts);

/* SESSIONS in total. */
void accounts_limit_sessions(struct accounts *accounts, uint64_t sessions);
/* FILES descriptors for the lanes of all sessions. */
void accounts_limit_files(struct accounts *accounts, uint64_t files);

/* The account of CLIENT, for one more session.  NULL: out of memory. */
struct client_account *accounts_enter(struct accounts *accounts,
				      const struct client *client);
/* That session has given back all that it took. */
void accounts_leave(struct accounts *accounts, struct client_account *client);

/* Makes ACCOUNT that of a new session of CLIENT. */
void accounts_open(struct account *account, struct client_account *client);

#endif
