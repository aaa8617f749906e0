#include "tenantfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "size.h"

/* More than any word that is allowed. */
#define WORD_BYTES 80

/* --- words --- */

struct word {
	/* In messages as well: without what does not print, and cut. */
	char text[WORD_BYTES];
	bool prints;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word of the line from *AT to END.  False when there is none,
 * or only a comment. */
static bool next_word(const char **at, const char *end, struct word *word)
{
	size_t n = 0;

	word->prints = true;
	while (*at < end && is_blank(**at))
		(*at)++;
	if (*at == end || **at == '#')
		return false;
	for (; *at < end && !is_blank(**at); (*at)++) {
		bool prints = **at > ' ' && **at <= '~';

		word->prints &= prints;
		if (n < sizeof word->text - 1)
			word->text[n++] = prints ? **at : '?';
	}
	word->text[n] = '\0';
	return true;
}

/* --- what a line says --- */

static const struct {
	const char *name; /* with the '=' */
	size_t at;	  /* in struct tenant_limits */
	uint32_t most;	  /* of a number, a uint32_t; 0: a size, a uint64_t */
} keys[] = {
	{ "memory=", offsetof(struct tenant_limits, memory_bytes), 0 },
	{ "guaranteed=", offsetof(struct tenant_limits, guaranteed_bytes), 0 },
	{ "sessions=", offsetof(struct tenant_limits, sessions),
	  TENANTFILE_SESSIONS_MAX },
	{ "lanes=", offsetof(struct tenant_limits, lanes),
	  TENANTFILE_LANES_MAX },
	{ "weight=", offsetof(struct tenant_limits, weight),
	  TENANT_WEIGHT_MAX },
};

#define N_KEYS (sizeof keys / sizeof keys[0])

/* The key that TEXT begins with, or N_KEYS. */
static size_t key_of(const char *text)
{
	size_t i = 0;

	while (i < N_KEYS &&
	       strncmp(text, keys[i].name, strlen(keys[i].name)) != 0)
		i++;
	return i;
}

/* Takes the value TEXT of key I. */
static bool take_value(size_t i, const char *text, struct tenant_limits *limits,
		       struct error *allowed)
{
	void *field = (char *)limits + keys[i].at;
	uint64_t value;

	if (!keys[i].most) {
		error_set(allowed, "a size, such as 64G");
		return size_parse(text, field);
	}
	error_set(allowed, "1 to %u", keys[i].most);
	if (!number_parse(text, 1, keys[i].most, &value))
		return false;
	*(uint32_t *)field = (uint32_t)value;
	return true;
}

/* Takes WORD into LIMITS.  SEEN has a bit for each key of the line. */
static bool take_word(const struct word *word, struct tenant_limits *limits,
		      unsigned *seen, struct error *allowed)
{
	size_t i = key_of(word->text);

	if (i == N_KEYS) {
		error_set(allowed, "memory=, guaranteed=, sessions=, lanes= "
				   "and weight=");
		return false;
	}
	if (*seen & 1u << i) {
		error_set(allowed, "%s once in a line", keys[i].name);
		return false;
	}
	*seen |= 1u << i;
	return take_value(i, word->text + strlen(keys[i].name), limits,
			  allowed);
}

/* What words of a line say together. */
static bool fits(const struct tenantfile_line *line, struct error *why)
{
	const struct tenant_limits *limits = &line->limits;

	if (!limits->guaranteed_bytes)
		return true;
	if (!strcmp(line->name, "*")) {
		error_set(why,
			  "line %u: guaranteed=%s: allowed only for a name, as "
			  "* is any number of identities",
			  line->number,
			  size_format(limits->guaranteed_bytes).text);
		return false;
	}
	if (limits->guaranteed_bytes > limits->memory_bytes) {
		error_set(
			why,
			"line %u: guaranteed=%s: allowed is at most memory=%s",
			line->number,
			size_format(limits->guaranteed_bytes).text,
			size_format(limits->memory_bytes).text);
		return false;
	}
	return true;
}

/* Takes NAME and the rest of the line, from AT to END. */
static bool parse_line(const struct word *name, const char *at, const char *end,
		       struct tenantfile_line *line, struct error *why)
{
	struct error allowed;
	struct word word;
	unsigned seen = 0;

	if (strlen(name->text) >= sizeof line->name || !name->prints ||
	    key_of(name->text) < N_KEYS) {
		error_set(why,
			  "line %u: %s: allowed is *, or a name of at most %zu "
			  "printable ASCII characters, before the limits",
			  line->number, name->text, sizeof line->name - 1);
		return false;
	}
	strcpy(line->name, name->text);
	line->limits = tenant_no_limits;
	while (next_word(&at, end, &word)) {
		if (take_word(&word, &line->limits, &seen, &allowed))
			continue;
		error_set(why, "line %u: %s: allowed: %s", line->number,
			  word.text, allowed.text);
		return false;
	}
	return fits(line, why);
}

/* --- the file --- */

static bool add_line(struct tenantfile *file,
		     const struct tenantfile_line *line, struct error *why)
{
	if (!strcmp(line->name, "*")) {
		if (file->has_others) {
			error_set(why, "line %u: *: allowed once",
				  line->number);
			return false;
		}
		file->has_others = true;
		file->others = line->limits;
		return true;
	}
	if (file->n == TENANTFILE_LINES_MAX) {
		error_set(why, "line %u: %s: allowed are %d names",
			  line->number, line->name, TENANTFILE_LINES_MAX);
		return false;
	}
	file->lines[file->n++] = *line;
	return true;
}

static int by_name(const void *a, const void *b)
{
	const struct tenantfile_line *x = a;
	const struct tenantfile_line *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : x->number < y->number ? -1 : 1;
}

static bool names_differ(const struct tenantfile *file, struct error *why)
{
	for (unsigned i = 1; i < file->n; i++) {
		const struct tenantfile_line *line = &file->lines[i];

		if (strcmp(line->name, line[-1].name) != 0)
			continue;
		error_set(why,
			  "line %u: %s: allowed once, and it is in line %u",
			  line->number, line->name, line[-1].number);
		return false;
	}
	return true;
}

static bool parse_lines(const char *text, const char *end,
			struct tenantfile *file, struct error *why)
{
	for (unsigned number = 1; text < end; number++) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline ? newline : end;
		struct tenantfile_line line = { .number = number };
		struct word name;

		if (next_word(&text, stop, &name) &&
		    (!parse_line(&name, text, stop, &line, why) ||
		     !add_line(file, &line, why)))
			return false;
		text = newline ? newline + 1 : end;
	}
	return true;
}

static unsigned count_lines(const char *text, size_t bytes)
{
	unsigned n = 1;

	for (size_t i = 0; i < bytes; i++)
		n += text[i] == '\n';
	return n < TENANTFILE_LINES_MAX ? n : TENANTFILE_LINES_MAX;
}

int tenantfile_parse(const char *text, size_t bytes, struct tenantfile *file,
		     struct error *why)
{
	*file = (struct tenantfile){
		.lines = calloc(count_lines(text, bytes), sizeof *file->lines),
	};
	if (!file->lines) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	if (parse_lines(text, text + bytes, file, why)) {
		qsort(file->lines, file->n, sizeof *file->lines, by_name);
		if (names_differ(file, why))
			return 0;
	}
	tenantfile_free(file);
	return -EINVAL;
}

static ssize_t read_all(int fd, char *text, size_t bytes)
{
	size_t used = 0;
	ssize_t got = 1;

	while (got > 0 && used < bytes) {
		got = read(fd, text + used, bytes - used);
		if (got < 0)
			return -errno;
		used += (size_t)got;
	}
	return (ssize_t)used;
}

int tenantfile_read(const char *path, struct tenantfile *file,
		    struct error *why)
{
	/* Not a reader that waits for the writer of a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char *text = malloc(TENANTFILE_BYTES_MAX + 1);
	ssize_t got = fd < 0 ? -errno : -ENOMEM;
	int rc;

	*file = (struct tenantfile){ 0 };
	if (fd >= 0 && text)
		got = read_all(fd, text, TENANTFILE_BYTES_MAX + 1);
	if (got < 0) {
		rc = (int)got;
		error_set(why, "%s", strerror(-rc));
	} else if (got > (ssize_t)TENANTFILE_BYTES_MAX) {
		rc = -EFBIG;
		error_set(why, "it has more than %u bytes",
			  TENANTFILE_BYTES_MAX);
	} else {
		rc = tenantfile_parse(text, (size_t)got, file, why);
	}
	free(text);
	if (fd >= 0)
		close(fd);
	return rc;
}

static int name_and_line(const void *name, const void *line)
{
	return strcmp(name, ((const struct tenantfile_line *)line)->name);
}

struct tenantfile_line *tenantfile_line(const struct tenantfile *file,
					const char *name)
{
	return file->n ? bsearch(name, file->lines, file->n,
				 sizeof *file->lines, name_and_line)
		       : NULL;
}

const struct tenant_limits *tenantfile_find(const struct tenantfile *file,
					    const char *name)
{
	const struct tenantfile_line *line = tenantfile_line(file, name);

	if (line)
		return &line->limits;
	return file->has_others ? &file->others : NULL;
}

void tenantfile_free(struct tenantfile *file)
{
	free(file->lines);
	*file = (struct tenantfile){ 0 };
}
