/* In place of a control connection of the memory server: a client that notes
 * the replies. */
#ifndef RSWAP_TEST_FAKE_CLIENT_H
#define RSWAP_TEST_FAKE_CLIENT_H

#include "grants/client.h"

/* How many replies there were, and the last of them. */
extern unsigned replies;
extern struct wire_message last_reply;
/* How many connections were abandoned. */
extern unsigned abandoned;

/* A client; the same one each time. */
struct client *some_client(void);

#endif
