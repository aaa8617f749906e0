/* Files with secrets: keys, passwords.  Nobody but root and the user of this
 * process may read them.  Any thread. */
#ifndef RSWAP_SECRETFILE_H
#define RSWAP_SECRETFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

/* Whether PATH is one of the credentials of this process's unit: what systemd
 * copied when it started the unit. */
bool secretfile_is_credential(const char *path);

/* Reads the file at PATH, of at most MAX bytes, which must be a regular file of
 * root or of this process's user that no other user can read.  In the directory
 * of systemd's credentials, which other users cannot enter, the group may read
 * it: so the mode of a file looks that has an access list.  0 and *TEXT of
 * *BYTES with a NUL behind them, for secretfile_free; or a negative errno and
 * WHY, which does not name the file. */
int secretfile_read(const char *path, size_t max, char **text, size_t *bytes,
		    struct error *why);

/* Wipes the text, and frees it. */
void secretfile_free(char *text, size_t bytes);

#endif
