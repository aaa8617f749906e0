/* Files of the kernel that are kept open and read again and again, and the
 * numbers in them.  Any thread. */
#ifndef RSWAP_MEMSERVER_KERNFILE_H
#define RSWAP_MEMSERVER_KERNFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads FD from its beginning, at most SIZE - 1 bytes, NUL-terminated.  How
 * many there were, or a negative errno.  Needs no descriptor, and moves no file
 * position: many threads may read one. */
ssize_t kernfile_read(int fd, char *text, size_t size);

/* The number behind KEY ("MemAvailable:") at the beginning of a line of TEXT;
 * sizes in kB are made bytes.  False where there is no such key.  Pure. */
bool kernfile_find(const char *text, const char *key, uint64_t *value);

#endif
