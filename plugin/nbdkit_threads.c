#include "nbdkit_threads.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* nbdkit's short options that have a value, in the same word or the next. */
#define SHORT_WITH_VALUE "DegipPtuU"

/* The shortest form of --threads that getopt_long takes: nbdkit has --tls. */
#define LONG_MIN_LENGTH strlen("--th")

/* A command line that is longer has its options in front. */
#define CMDLINE_BYTES (64u << 10)

struct words {
	const char *next, *end;
};

/* NULL at the end.  A word that is cut off counts as the end. */
static const char *next_word(struct words *words)
{
	const char *word = words->next;
	const char *end =
		word < words->end
			? memchr(word, '\0', (size_t)(words->end - word))
			: NULL;

	if (!end)
		return NULL;
	words->next = end + 1;
	return word;
}

/* "-t", "-t32", "-ft32": the value, which may be the next word. */
static const char *short_value(const char *word, struct words *words)
{
	const char *option = strpbrk(word, SHORT_WITH_VALUE);
	const char *value;

	if (!option)
		return NULL;
	value = option[1] ? option + 1 : next_word(words);
	return *option == 't' ? value : NULL;
}

/* "--threads=32", "--threads 32", and what getopt_long takes for it. */
static const char *long_value(const char *word, struct words *words)
{
	size_t length = strcspn(word, "=");

	if (length < LONG_MIN_LENGTH || strncmp(word, "--threads", length))
		return NULL;
	return word[length] ? word + length + 1 : next_word(words);
}

/* nbdkit takes 0 for its default, and has refused what is no number. */
static unsigned number_of(const char *value)
{
	unsigned long n = strtoul(value, NULL, 0);

	if (n == 0)
		return NBDKIT_THREADS;
	return n > UINT_MAX ? UINT_MAX : (unsigned)n;
}

unsigned nbdkit_threads_of(const char *text, size_t bytes)
{
	struct words words = { text, text + bytes };
	unsigned threads = NBDKIT_THREADS;
	const char *word = next_word(&words);

	while (word && (word = next_word(&words))) {
		const char *value = NULL;

		if (!strcmp(word, "--"))
			break;
		if (!strncmp(word, "--", 2))
			value = long_value(word, &words);
		else if (word[0] == '-')
			value = short_value(word + 1, &words);
		if (value)
			threads = number_of(value);
	}
	return threads;
}

unsigned nbdkit_threads(void)
{
	static char text[CMDLINE_BYTES];
	size_t have = 0;
	ssize_t n;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NBDKIT_THREADS;
	while ((n = read(fd, text + have, sizeof text - have)) > 0)
		have += (size_t)n;
	close(fd);
	return nbdkit_threads_of(text, have);
}
