#include "fake_client.h"

unsigned replies;
unsigned abandoned;
struct wire_message last_reply;

static void note_reply(struct client *client, const struct wire_message *reply)
{
	(void)client;
	last_reply = *reply;
	replies++;
}

static void note_abandon(struct client *client)
{
	(void)client;
	abandoned++;
}

struct client *some_client(void)
{
	static const struct net_addr nowhere;
	static struct client client = { .reply = note_reply,
					.abandon = note_abandon,
					.identity = "",
					.addr = &nowhere };

	return &client;
}
