#include "b64.h"

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

char *b64_encode(const void *bytes, size_t n)
{
	const gnutls_datum_t in = { (unsigned char *)bytes, (unsigned)n };
	gnutls_datum_t out = { NULL, 0 };
	char *text;

	if (!n)
		return calloc(1, 1);
	if (gnutls_base64_encode2(&in, &out))
		return NULL;
	text = strndup((const char *)out.data, out.size);
	gnutls_free(out.data);
	return text;
}

char *b64_decode(const char *text, size_t length, size_t *n)
{
	const gnutls_datum_t in = { (unsigned char *)text, (unsigned)length };
	gnutls_datum_t out = { NULL, 0 };
	char *bytes;

	*n = 0;
	if (!length)
		return calloc(1, 1);
	if (gnutls_base64_decode2(&in, &out))
		return NULL;
	bytes = malloc((size_t)out.size + 1);
	if (bytes) {
		memcpy(bytes, out.data, out.size);
		bytes[out.size] = '\0';
		*n = out.size;
	}
	gnutls_free(out.data);
	return bytes;
}
