#include "members.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What the first line begins with.  The number is the version of the file. */
#define MAGIC "rswap-pool 1 "

bool members_write(const struct members *members, const char *pool, FILE *out)
{
	fprintf(out, MAGIC "%s\n", pool);
	for (unsigned i = 0; i < members->n; i++) {
		const struct members_entry *entry = &members->entries[i];

		if (!entry->is_understood)
			continue;
		fprintf(out, "%s ", entry->address.text);
		member_write(&entry->member, out);
		fputc('\n', out);
	}
	return !ferror(out);
}

/* "ADDRESS VALUE". */
static bool take_line(struct members *members, char *line)
{
	char *space = strchr(line, ' ');

	if (!space || space == line ||
	    (size_t)(space - line) >= sizeof(struct net_text))
		return false;
	*space = '\0';
	return members_put(members, line, space + 1);
}

int members_read(struct members *members, const char *pool, char *text,
		 struct error *why)
{
	char *line = strsep(&text, "\n");
	unsigned number = 1;

	if (strncmp(line, MAGIC, strlen(MAGIC))) {
		error_set(why, "its first line is not \"" MAGIC "%s\"", pool);
		return -EINVAL;
	}
	line += strlen(MAGIC);
	if (strcmp(line, pool)) {
		error_set(why, "it is of pool %.*s, and not of %s",
			  POOL_NAME_BYTES, line, pool);
		return -EINVAL;
	}
	while ((line = strsep(&text, "\n"))) {
		number++;
		if (!*line && !text) /* behind the last newline */
			break;
		if (!take_line(members, line)) {
			error_set(why, "line %u is not a server of a pool",
				  number);
			return -EINVAL;
		}
	}
	return 0;
}
