#include "jsonout.h"

#include <inttypes.h>
#include <string.h>

/* The length of the UTF-8 sequence at S (RFC 3629), or 0 where there is none.
 * The NUL at the end is in no sequence. */
static size_t sequence_bytes(const unsigned char *s)
{
	size_t n = *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4;

	if (n == 0 || *s > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	/* longer than needed, a surrogate, or beyond U+10FFFF */
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static void put_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	fputc('"', out);
	while (*s) {
		size_t n = *s < 0x80 ? 1 : sequence_bytes(s);

		if (n == 0)
			fputs("\\ufffd", out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(out, "\\u%04x", *s);
		else
			fwrite(s, 1, n, out);
		s += n ? n : 1;
	}
	fputc('"', out);
}

/* What stands before each value. */
static void put_key(struct jsonout *j, const char *key)
{
	if (j->more)
		fputc(',', j->out);
	j->more = true;
	if (!key)
		return;
	put_text(j->out, key);
	fputc(':', j->out);
}

void jsonout_begin(struct jsonout *j, const char *key, char what)
{
	put_key(j, key);
	fputc(what, j->out);
	j->more = false;
}

void jsonout_end(struct jsonout *j, char what)
{
	fputc(what, j->out);
	j->more = true;
}

void jsonout_number(struct jsonout *j, const char *key, uint64_t value)
{
	put_key(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void jsonout_real(struct jsonout *j, const char *key, double value)
{
	put_key(j, key);
	fprintf(j->out, "%.3f", value);
}

void jsonout_bool(struct jsonout *j, const char *key, bool value)
{
	put_key(j, key);
	fputs(value ? "true" : "false", j->out);
}

void jsonout_null(struct jsonout *j, const char *key)
{
	put_key(j, key);
	fputs("null", j->out);
}

void jsonout_text(struct jsonout *j, const char *key, const char *text)
{
	put_key(j, key);
	put_text(j->out, text);
}

void jsonout_hex(struct jsonout *j, const char *key, const uint8_t *bytes,
		 size_t n)
{
	put_key(j, key);
	fputc('"', j->out);
	for (size_t i = 0; i < n; i++)
		fprintf(j->out, "%02x", bytes[i]);
	fputc('"', j->out);
}
