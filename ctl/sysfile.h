/* Small text files of the kernel (/proc, /sys), and directories of them. */
#ifndef RSWAPCTL_SYSFILE_H
#define RSWAPCTL_SYSFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SYSFILE_NAMES_MAX 128

struct sysfile_names {
	char text[SYSFILE_NAMES_MAX][64];
	int n;
};

/* Writes the first line of the file PATH, a format, to the SIZE bytes of LINE,
 * without its newline.  False, and an empty line, if it can't be read. */
__attribute__((format(printf, 3, 4))) bool sysfile_line(char *line, size_t size,
							const char *path, ...);

/* The number at the beginning of the first line.  False if there is none. */
__attribute__((format(printf, 2, 3))) bool
sysfile_number(int64_t *number, const char *path, ...);

/* The names in the directory PATH, a format, in order, without those that begin
 * with a dot.  None if it can't be read; a name that is too long, and what goes
 * beyond SYSFILE_NAMES_MAX, is left out. */
__attribute__((format(printf, 2, 3))) void
sysfile_list(struct sysfile_names *names, const char *path, ...);
/* The same of directories only; a symbolic link to one is none. */
__attribute__((format(printf, 2, 3))) void
sysfile_list_directories(struct sysfile_names *names, const char *path, ...);

#endif
