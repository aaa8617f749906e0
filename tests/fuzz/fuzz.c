#include "fuzz.h"

#include <string.h>
#include <sys/socket.h>

#include "log.h"

/* More than any input, so that no end of a pair ever blocks. */
#define SOCKET_BYTES (1 << 20)

void fuzz_fail(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

static void to_nowhere(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_to(to_nowhere);
	fuzz_begin();
	return 0;
}

__attribute__((weak)) void fuzz_begin(void)
{
}

uint8_t input_byte(struct input *in)
{
	const uint8_t *at;

	return input_take(in, 1, &at) ? *at : 0;
}

size_t input_take(struct input *in, size_t bytes, const uint8_t **at)
{
	if (bytes > in->left)
		bytes = in->left;
	*at = in->data;
	in->data += bytes;
	in->left -= bytes;
	return bytes;
}

void input_fill(struct input *in, void *buf, size_t bytes)
{
	const uint8_t *at;
	size_t n = input_take(in, bytes, &at);

	memset(buf, 0, bytes);
	if (n)
		memcpy(buf, at, n);
}

char *input_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	REQUIRE(text);
	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

char *text_line(char **at)
{
	char *line = *at;
	size_t length = line ? strcspn(line, "\n") : 0;

	if (!line || !*line)
		return NULL;
	*at = line[length] ? line + length + 1 : NULL;
	line[length] = '\0';
	return line;
}

FILE *fuzz_open(const void *data, size_t size)
{
	FILE *f = fmemopen((void *)data, size, "r");

	REQUIRE(f || !size); /* as a file that is not there */
	return f;
}

void fuzz_socketpair(int end[2])
{
	int bytes = SOCKET_BYTES;

	REQUIRE(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end));
	for (int i = 0; i < 2; i++)
		setsockopt(end[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes,
			   sizeof bytes);
}

void fuzz_put(int fd, const void *buf, size_t bytes)
{
	REQUIRE(send(fd, buf, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) ==
		(ssize_t)bytes);
}
