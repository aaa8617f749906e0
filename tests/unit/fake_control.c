#include "fake_control.h"
#include "support.h"

#include <stdio.h>

unsigned replies;
unsigned abandoned;
struct wire_message last_reply;

static char nobody;

/* Only its address is looked at. */
struct control *some_control(void)
{
	return (struct control *)&nobody;
}

void control_reply(struct control *control, const struct wire_message *reply)
{
	assert_non_null(control);
	last_reply = *reply;
	replies++;
}

void control_error(struct control *control, uint32_t cookie, uint32_t code,
		   const char *text)
{
	struct wire_message m = { .type = WIRE_ERROR,
				  .cookie = cookie,
				  .error.code = code };

	assert_non_null(text);
	snprintf(m.error.text, sizeof m.error.text, "%s", text);
	control_reply(control, &m);
}

void control_abandon(struct control *control)
{
	assert_non_null(control);
	abandoned++;
}

void control_accept(struct listener *listener, int fd)
{
	(void)listener;
	(void)fd;
}

bool control_turn_one_away(struct server *server)
{
	(void)server;
	return false;
}

void control_close_all(struct server *server, const char *why)
{
	(void)server;
	(void)why;
}
