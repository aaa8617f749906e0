#include "accounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admission.h"
#include "links/link_set.h"

/* In total.  An ALLOC that waits is 150 bytes; a spare or held slab is memory
 * that no session has use of. */
static const uint64_t in_total[N_LIMITED] = {
	[LIMITED_SESSIONS] = UINT64_MAX, /* accounts_limit_sessions */
	[LIMITED_LANES] = 16384,
	[LIMITED_FILES] = UINT64_MAX, /* accounts_limit_files */
	[LIMITED_ASKED] = 16384,
	[LIMITED_SPARE] = 128,
	[LIMITED_HELD] = 1024,
};

/* A plugin that frees a slab has waited for its requests in there, so it has
 * next to no held slabs. */
static const uint64_t of_a_session[N_LIMITED] = {
	[LIMITED_SESSIONS] = 1,	      [LIMITED_LANES] = LINK_SET_MAX,
	[LIMITED_FILES] = UINT64_MAX, /* lanes limit them */
	[LIMITED_ASKED] = 1024,	      [LIMITED_SPARE] = 1,
	[LIMITED_HELD] = 64,
};

/* A client leaves a quarter for the others. */
static uint64_t of_a_client(uint64_t total)
{
	return total - total / 4;
}

static void set_limit(struct accounts *accounts, enum limited what,
		      uint64_t total)
{
	struct client_account *client;

	accounts->server.most[what] = total;
	TAILQ_FOREACH(client, &accounts->clients, entry)
	client->account.most[what] = of_a_client(total);
}

void accounts_init(struct accounts *accounts)
{
	*accounts = (struct accounts){ .server.whose = "all clients together" };
	TAILQ_INIT(&accounts->clients);
	for (int i = 0; i < N_LIMITED; i++)
		set_limit(accounts, i, in_total[i]);
}

void accounts_limit_sessions(struct accounts *accounts, uint64_t sessions)
{
	set_limit(accounts, LIMITED_SESSIONS, sessions);
}

void accounts_limit_files(struct accounts *accounts, uint64_t files)
{
	set_limit(accounts, LIMITED_FILES, files);
}

static bool is_of(const struct client_account *account,
		  const struct client *client)
{
	if (*account->identity || *client->identity)
		return !strcmp(account->identity, client->identity);
	return admission_same_address(&account->addr, client->addr);
}

static struct client_account *find(const struct accounts *accounts,
				   const struct client *client)
{
	struct client_account *account;

	TAILQ_FOREACH(account, &accounts->clients, entry)
	{
		if (is_of(account, client))
			return account;
	}
	return NULL;
}

static struct client_account *account_new(struct accounts *accounts,
					  const struct client *client)
{
	struct client_account *account = calloc(1, sizeof *account);

	if (!account)
		return NULL;
	snprintf(account->identity, sizeof account->identity, "%s",
		 client->identity);
	account->addr = *client->addr;
	account->account.whose =
		*client->identity ? "one identity" : "one address";
	account->account.up = &accounts->server;
	for (int i = 0; i < N_LIMITED; i++)
		account->account.most[i] =
			of_a_client(accounts->server.most[i]);
	TAILQ_INSERT_TAIL(&accounts->clients, account, entry);
	return account;
}

struct client_account *accounts_enter(struct accounts *accounts,
				      const struct client *client)
{
	struct client_account *account = find(accounts, client);

	if (!account)
		account = account_new(accounts, client);
	if (account)
		account->sessions++;
	return account;
}

void accounts_leave(struct accounts *accounts, struct client_account *client)
{
	if (--client->sessions)
		return;
	TAILQ_REMOVE(&accounts->clients, client, entry);
	free(client);
}

void accounts_open(struct account *account, struct client_account *client)
{
	*account = (struct account){ .whose = "one session",
				     .up = &client->account };
	for (int i = 0; i < N_LIMITED; i++)
		account->most[i] = of_a_session[i];
}
