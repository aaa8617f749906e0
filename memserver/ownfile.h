/* Files that tell other processes where this server is (--pidfile,
 * --port-file). The server locks its file as long as it lives.  So a second
 * server with the same option refuses to start, and replaces the file of a
 * server that was killed. */
#ifndef RSWAP_MEMSERVER_OWNFILE_H
#define RSWAP_MEMSERVER_OWNFILE_H

#include "error.h"

/* Zeroed: there is no file. */
struct ownfile {
	const char *path; /* the caller's; NULL: none */
	int fd;		  /* holds the lock */
};

/* Makes PATH with TEXT in it.  A reader finds the whole text or no file.  0, or
 * a negative errno with WHY: PATH is as it was. */
int ownfile_make(struct ownfile *file, const char *path, const char *text,
		 struct error *why);

/* Removes the file if it is still there.  Does nothing when FILE has none. */
void ownfile_remove(struct ownfile *file);

#endif
