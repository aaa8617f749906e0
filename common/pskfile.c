#include "pskfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "secretfile.h"

/* --- names and keys --- */

bool psk_name_ok(const char *name)
{
	return *name && *name != '#' && !strchr(name, ':') &&
	       strlen(name) < PSK_NAME_BYTES && wire_name_ok(name);
}

bool psk_same(const struct psk *a, const struct psk *b)
{
	return !strcmp(a->name, b->name) && a->key_bytes == b->key_bytes &&
	       !memcmp(a->key, b->key, a->key_bytes);
}

/* The value of a hexadecimal digit, or -1. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* --- a line --- */

struct line {
	const char *text;
	size_t length; /* without the blanks at both ends */
	unsigned number;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the line that begins at *TEXT, and moves *TEXT behind it. */
static struct line next_line(const char **text, const char *end,
			     unsigned number)
{
	const char *start = *text;
	const char *newline = memchr(start, '\n', (size_t)(end - start));
	const char *stop = newline ? newline : end;

	*text = newline ? newline + 1 : end;
	while (start < stop && is_blank(*start))
		start++;
	while (stop > start && is_blank(stop[-1]))
		stop--;
	return (struct line){ start, (size_t)(stop - start), number };
}

static bool parse_name(const struct line *line, size_t length, struct psk *psk,
		       struct error *why)
{
	if (length < sizeof psk->name && !memchr(line->text, '\0', length)) {
		memcpy(psk->name, line->text, length);
		psk->name[length] = '\0';
		if (psk_name_ok(psk->name))
			return true;
	}
	error_set(why,
		  "line %u: the name before the colon must be 1 to %d "
		  "printable ASCII characters without spaces",
		  line->number, PSK_NAME_BYTES - 1);
	return false;
}

static bool parse_key(const struct line *line, const char *hex, size_t length,
		      struct psk *psk, struct error *why)
{
	bool ok = length % 2 == 0 && length / 2 >= PSK_KEY_MIN &&
		  length / 2 <= PSK_KEY_MAX;

	for (size_t i = 0; ok && i < length; i += 2) {
		int high = digit(hex[i]), low = digit(hex[i + 1]);

		ok = high >= 0 && low >= 0;
		psk->key[i / 2] =
			(uint8_t)((unsigned)high << 4 | (unsigned)low);
	}
	psk->key_bytes = (uint32_t)(length / 2);
	if (!ok)
		error_set(why,
			  "line %u: the key behind the colon must be %d to %d "
			  "bytes in hexadecimal",
			  line->number, PSK_KEY_MIN, PSK_KEY_MAX);
	return ok;
}

static bool parse_line(const struct line *line, struct psk *psk,
		       struct error *why)
{
	const char *colon = memchr(line->text, ':', line->length);
	size_t name_length;

	if (!colon) {
		error_set(why, "line %u is not NAME:HEXKEY", line->number);
		return false;
	}
	name_length = (size_t)(colon - line->text);
	return parse_name(line, name_length, psk, why) &&
	       parse_key(line, colon + 1, line->length - name_length - 1, psk,
			 why);
}

/* --- the file --- */

/* Parses LINE into the next key of FILE, which has room for it. */
static bool add_line(struct pskfile *file, const struct line *line,
		     struct error *why)
{
	struct psk *psk = &file->keys[file->n];

	if (!line->length || *line->text == '#')
		return true;
	if (file->n == PSKFILE_KEYS_MAX) {
		error_set(why, "line %u: more than %d keys", line->number,
			  PSKFILE_KEYS_MAX);
		return false;
	}
	if (!parse_line(line, psk, why))
		return false;
	if (pskfile_find(file, psk->name)) {
		error_set(why, "line %u: there is a key of \"%s\" before",
			  line->number, psk->name);
		return false;
	}
	file->n++;
	return true;
}

static size_t count_lines(const char *text, const char *end)
{
	size_t n = 1;

	for (; text < end; text++)
		n += *text == '\n';
	return n;
}

int pskfile_parse(const char *text, size_t bytes, struct pskfile *file,
		  struct error *why)
{
	const char *end = text + bytes;
	size_t room = count_lines(text, end);
	bool ok = true;

	/* One more, as a line is parsed before it is refused. */
	if (room > PSKFILE_KEYS_MAX + 1)
		room = PSKFILE_KEYS_MAX + 1;
	*file = (struct pskfile){ .keys = calloc(room, sizeof *file->keys) };
	if (!file->keys) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	for (unsigned number = 1; ok && text < end; number++) {
		struct line line = next_line(&text, end, number);

		ok = add_line(file, &line, why);
	}
	if (ok && !file->n) {
		error_set(why, "there is no key in it");
		ok = false;
	}
	if (ok)
		return 0;
	file->n =
		(unsigned)room; /* also the key of the line that was refused */
	pskfile_free(file);
	return -EINVAL;
}

int pskfile_read(const char *path, struct pskfile *file, struct error *why)
{
	char *text;
	size_t bytes;
	int rc = secretfile_read(path, PSKFILE_BYTES_MAX, &text, &bytes, why);

	*file = (struct pskfile){ 0 };
	if (rc)
		return rc;
	rc = pskfile_parse(text, bytes, file, why);
	secretfile_free(text, bytes);
	return rc;
}

const struct psk *pskfile_find(const struct pskfile *file, const char *name)
{
	for (unsigned i = 0; i < file->n; i++) {
		if (!strcmp(file->keys[i].name, name))
			return &file->keys[i];
	}
	return NULL;
}

const struct psk *pskfile_choose(const struct pskfile *file, const char *name,
				 struct error *why)
{
	const struct psk *psk = name	       ? pskfile_find(file, name)
				: file->n == 1 ? &file->keys[0]
					       : NULL;

	if (!psk && name)
		error_set(why, "there is no key of that name in it");
	else if (!psk)
		error_set(why, "it has %u keys: the identity must be named",
			  file->n);
	return psk;
}

void pskfile_free(struct pskfile *file)
{
	if (file->keys)
		explicit_bzero(file->keys, file->n * sizeof *file->keys);
	free(file->keys);
	*file = (struct pskfile){ 0 };
}
