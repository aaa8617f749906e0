/* Where a front end runs as root it owns root's files, without any capability.
 * Once it serves it needs to change few of them: this takes most of that away.
 */
#ifndef RSWAP_CONFINE_H
#define RSWAP_CONFINE_H

#include "error.h"

/* From now on this thread, and those that it starts, execute no file; make,
 * remove and rename files only in the directories of PATHS (N, of which some
 * may be NULL) and below these; and write to files only there and in
 * /dev/infiniband, or, where there is none, in /dev.  They read as before, and
 * what is open stays open.  For good.  By Landlock (landlock(7)), from Linux
 * 5.13 on; PR_SET_NO_NEW_PRIVS has to be set.  Landlock does not look at modes,
 * owners and sockets.
 *
 * 0, or a negative errno with WHY, and nothing has changed: -ENOSYS and
 * -EOPNOTSUPP where the kernel has no Landlock. */
int confine_files(const char *const *paths, unsigned n, struct error *why);

#endif
