#include "memout.h"

#include <stdlib.h>

size_t memout_fill(char *buffer, size_t size, memout_write *write, void *arg,
		   bool *full)
{
	FILE *out = fmemopen(buffer, size, "w");
	long at;

	*full = false;
	if (!out)
		return 0;
	/* unbuffered: a buffer would be allocated, and would hide an overflow
	 * until the stream is closed */
	setvbuf(out, NULL, _IONBF, 0);
	write(out, arg);
	at = ftell(out);
	/* A stream that is full to its end has a NUL in the place of its last
	 * byte, and no error. */
	*full = ferror(out) || at == (long)size;
	fclose(out);
	return *full || at < 0 ? 0 : (size_t)at;
}

char *memout_allocate(memout_write *write, void *arg, size_t *bytes)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, bytes);

	if (!out)
		return NULL;
	write(out, arg);
	if (fclose(out) == 0)
		return text;
	free(text);
	return NULL;
}
