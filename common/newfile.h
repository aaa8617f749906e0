/* Small files that other programs read while they are replaced: a reader finds
 * all of the old text, or all of the new one.  The new text is written to a
 * temporary file beside the old one.  Its name cannot be guessed, and it must
 * not exist before: so a link that an attacker put there is never followed.
 * Any thread. */
#ifndef RSWAP_NEWFILE_H
#define RSWAP_NEWFILE_H

#include <stddef.h>

#include "error.h"

/* The most bytes of a path, with its NUL. */
#define NEWFILE_PATH_MAX 4096

/* Makes a temporary file for PATH with TEXT in it, of mode 0644 less the umask.
 * Its descriptor, which is the caller's, and its path in TEMPORARY; or a
 * negative errno, and no file. */
int newfile_create(const char *path, const char *text,
		   char temporary[NEWFILE_PATH_MAX]);

/* Replaces PATH by a file with TEXT in it.  0 or a negative errno. */
int newfile_replace(const char *path, const char *text, struct error *why);

#endif
