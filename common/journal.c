#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool journal_has(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char text[48];

	if (!stream || fstat(fd, &st) < 0)
		return false;
	snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)st.st_dev,
		 (uintmax_t)st.st_ino);
	return !strcmp(stream, text);
}
