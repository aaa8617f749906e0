/* Files of tenants: a line for each identity, with what it may have.
 *
 *   # comment
 *   NAME memory=64G guaranteed=16G sessions=4 lanes=64 weight=2
 *   *    memory=8G
 *
 * What a line leaves out has no limit; nothing is guaranteed, and the weight is
 * 1.  The line "*" is for each identity without a line of its own.  Nothing can
 * be guaranteed in that line, as the number of such identities is unknown.
 *
 * Errors name the line, the word, and what is allowed.  Any thread. */
#ifndef RSWAP_TENANTFILE_H
#define RSWAP_TENANTFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "tenant.h"

/* As many as a server has sessions at most. */
#define TENANTFILE_LINES_MAX 4096
#define TENANTFILE_BYTES_MAX (1u << 20)
/* Of sessions and of lanes in a line. */
#define TENANTFILE_SESSIONS_MAX 4096
#define TENANTFILE_LANES_MAX	(1u << 20)

struct tenantfile_line {
	char name[WIRE_NAME_BYTES];
	struct tenant_limits limits;
	unsigned number; /* in the file, from 1 */
	bool has_tenant; /* for the user of the file */
};

/* Zeroed: no line. */
struct tenantfile {
	unsigned n;
	struct tenantfile_line *lines; /* [n], by name, without "*" */
	bool has_others;
	struct tenant_limits others; /* of the line "*" */
};

/* Parses BYTES of TEXT, at most TENANTFILE_BYTES_MAX.  0, or a negative errno
 * with the reason: then FILE is empty. */
int tenantfile_parse(const char *text, size_t bytes, struct tenantfile *file,
		     struct error *why);

/* Reads the file at PATH. */
int tenantfile_read(const char *path, struct tenantfile *file,
		    struct error *why);

/* The limits of NAME, which may be those of "*".  NULL when it has none. */
const struct tenant_limits *tenantfile_find(const struct tenantfile *file,
					    const char *name);

/* The line of NAME, or NULL. */
struct tenantfile_line *tenantfile_line(const struct tenantfile *file,
					const char *name);

/* FILE is empty afterwards. */
void tenantfile_free(struct tenantfile *file);

#endif
