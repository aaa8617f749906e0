/* A request on the control socket, as the plugin and the memory server take it
 * (common/ctlsock_serve.c).  The first byte says how large the server's buffer
 * is; the rest is what a client sends, in portions that a byte 0xff ends. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"

#include "ctlsock_serve.c" /* one client at a time, without its loop */

#define LINE "key value\n"

static char heard[CTLSOCK_COMMAND_MAX + 1];

/* A line for each character of the command, and none for "x...". */
static bool answer_lines(const char *command, FILE *out, void *arg)
{
	(void)arg;
	REQUIRE(strlen(command) < CTLSOCK_COMMAND_MAX);
	strcpy(heard, command);
	if (*command == 'x')
		return false;
	for (size_t i = 0; command[i]; i++)
		fputs(LINE, out);
	return true;
}

static const char unknown[] = "{\"error\":\"unknown command\"}\n";
static const char too_long[] = "{\"error\":\"the answer is too long\"}\n";

static size_t expected_bytes(void)
{
	return *heard == 'x' ? strlen(unknown) : strlen(heard) * strlen(LINE);
}

/* The whole answer, or an error in its place. */
static void check_answer(const char *text, size_t bytes, bool limited)
{
	bool cut = limited && bytes == strlen(too_long) &&
		   !memcmp(text, too_long, bytes);

	REQUIRE(!bytes || text[bytes - 1] == '\n');
	REQUIRE(cut || bytes == expected_bytes());
	for (size_t i = 0; i < bytes; i++)
		REQUIRE(text[i]);
}

static void converse(struct serving *s, int peer, struct input *in)
{
	struct client *c = &s->clients[0];
	size_t bytes = 0;
	char text[4096];
	bool over;

	while (c->fd >= 0 && in->left) {
		const uint8_t *end = memchr(in->data, 0xff, in->left);
		size_t n = end ? (size_t)(end - in->data) : in->left;
		const uint8_t *at;

		input_take(in, n, &at);
		input_byte(in);
		/* the server may have closed */
		(void)!send(peer, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		serve_client(s, c);
	}
	over = c->fd < 0;
	if (!over) { /* the client goes without a word */
		shutdown(peer, SHUT_WR);
		serve_client(s, c);
		REQUIRE(c->fd < 0);
	}
	bytes = (size_t)recv(peer, text, sizeof text, MSG_DONTWAIT);
	if (bytes == (size_t)-1) /* reset: there was more than a command */
		bytes = 0;
	else if (*heard && over)
		check_answer(text, bytes, s->server->buffer);
	(void)bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	size_t buffer_bytes = CTLSOCK_BUFFER_MIN + input_byte(&in);
	char *buffer = in.left % 2 ? malloc(buffer_bytes) : NULL;
	struct ctlsock_server server = { .listen_fd = -1,
					 .stop_fd = STDERR_FILENO,
					 .answer = answer_lines,
					 .buffer = buffer,
					 .buffer_bytes = buffer_bytes };
	static struct serving serving;
	int end[2];

	heard[0] = '\0';
	serving = (struct serving){ .server = &server, .reserve_fd = -1 };
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		serving.clients[i].fd = -1;
	fuzz_socketpair(end);
	serving.clients[0].fd = end[0];
	converse(&serving, end[1], &in);
	if (serving.reserve_fd >= 0)
		close(serving.reserve_fd);
	close(end[1]);
	free(buffer);
	return 0;
}
