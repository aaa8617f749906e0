#include "client.h"

#include <stdio.h>

void client_reply(struct client *client, const struct wire_message *reply)
{
	client->reply(client, reply);
}

void client_error(struct client *client, uint32_t cookie, uint32_t code,
		  const char *text)
{
	struct wire_message reply = { .type = WIRE_ERROR,
				      .cookie = cookie,
				      .error.code = code };

	snprintf(reply.error.text, sizeof reply.error.text, "%s", text);
	client->reply(client, &reply);
}
