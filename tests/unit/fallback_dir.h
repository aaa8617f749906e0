/* A directory of a test's own for a fallback file, in the current directory. */
#ifndef TEST_FALLBACK_DIR_H
#define TEST_FALLBACK_DIR_H

#include <stdbool.h>

/* Makes the directory, and writes the path of a file in it, which is not there
 * yet, to PATH.  False, with a message, where the file system cannot hold a
 * fallback.  Ends the program where no directory can be made. */
bool fallback_dir_make(char path[64]);

/* Removes the file, if any, and the directory. */
void fallback_dir_remove(const char *path);

#endif
