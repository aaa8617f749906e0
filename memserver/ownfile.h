/* Files that tell others where this server is (--pidfile, --port-file).  A
 * file is one running server's: it is locked as long as the server lives, so a
 * second server with the same option refuses to start, and a file that a killed
 * server left is replaced. */
#ifndef RSWAP_MEMSERVER_OWNFILE_H
#define RSWAP_MEMSERVER_OWNFILE_H

#include "error.h"

/* Zeroed: none. */
struct ownfile {
	const char *path; /* the caller's; NULL: none */
	int fd;		  /* holds the lock */
};

/* Makes PATH with TEXT in it; a reader finds all of it or no file.  0 or a
 * negative errno with WHY, and then PATH is as it was. */
int ownfile_make(struct ownfile *file, const char *path, const char *text,
		 struct error *why);

/* Removes it, where it is still there.  Nothing to do where there is none. */
void ownfile_remove(struct ownfile *file);

#endif
