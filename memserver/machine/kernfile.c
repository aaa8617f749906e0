#include "kernfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t kernfile_read(int fd, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		ssize_t n =
			pread(fd, text + used, size - 1 - used, (off_t)used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	text[used] = '\0';
	return (ssize_t)used;
}

bool kernfile_find(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);
	const char *line = text;

	while (line && strncmp(line, key, length) != 0) {
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	if (!line)
		return false;

	char *end;

	line += length;
	*value = strtoull(line, &end, 10);
	if (end == line)
		return false;
	if (!strncmp(end, " kB", 3))
		*value *= 1024;
	return true;
}
