#include "keyvalue.h"

#include <string.h>

const char *keyvalue_get(const char *text, const char *key, char *value,
			 size_t size)
{
	size_t key_bytes = strlen(key);
	const char *line = text;

	while (*line) {
		size_t bytes = strcspn(line, "\n");

		if (bytes > key_bytes && line[key_bytes] == ' ' &&
		    strncmp(line, key, key_bytes) == 0) {
			const char *start = line + key_bytes + 1;
			size_t n = bytes - key_bytes - 1;

			if (n >= size)
				n = size - 1;
			memcpy(value, start, n);
			value[n] = '\0';
			return value;
		}
		line += bytes;
		line += *line == '\n';
	}
	return NULL;
}
