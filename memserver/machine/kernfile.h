/* Files of the kernel that stay open and are read again and again, and the
 * numbers in them.  Any thread. */
#ifndef RSWAP_MEMSERVER_KERNFILE_H
#define RSWAP_MEMSERVER_KERNFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads FD from its beginning, at most SIZE - 1 bytes, NUL-terminated.  Returns
 * the number of bytes, or a negative errno.  Does not move the file position,
 * so many threads may read one file. */
ssize_t kernfile_read(int fd, char *text, size_t size);

/* The number behind KEY ("MemAvailable:") at the beginning of a line of TEXT.
 * Sizes in kB are converted to bytes.  False when there is no such key.  Pure.
 */
bool kernfile_find(const char *text, const char *key, uint64_t *value);

#endif
