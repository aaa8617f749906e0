/* Where a front end runs as root it owns root's files, without any capability.
 * It needs none of them once it serves: this takes them away. */
#ifndef RSWAP_CONFINE_H
#define RSWAP_CONFINE_H

/* From now on this thread, and those that it starts, execute no file, and
 * write, make, remove and rename files only in /dev and in the directories of
 * PATHS (N, of which some may be NULL); they read as before, and what is open
 * stays open.  For good.  By Landlock (landlock(7)), from Linux 5.13 on.
 * PR_SET_NO_NEW_PRIVS has to be set.
 *
 * 0, or a negative errno, and nothing has changed: -ENOSYS and -EOPNOTSUPP
 * where the kernel has no Landlock. */
int confine_files(const char *const *paths, unsigned n);

#endif
