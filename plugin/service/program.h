/* What front ends that are programs of their own share: log lines and the file
 * with the process id.  At start; the main thread. */
#ifndef RSWAP_PROGRAM_H
#define RSWAP_PROGRAM_H

#include "error.h"

/* From now on errors and notices go to standard error, each line with NAME in
 * front, which stays the caller's. */
void program_log(const char *name);

/* Writes this process's id to PATH.  NULL: nothing to do.  0 or a negative
 * errno. */
int program_write_pidfile(const char *path, struct error *why);

#endif
