/* What a callback writes to a stream, as bytes in memory. */
#ifndef RSWAP_MEMOUT_H
#define RSWAP_MEMOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef void memout_write(FILE *out, void *arg);

/* Into BUFFER of SIZE bytes: for a program whose heap must not grow.  Returns
 * how many bytes were written; 0 if they do not fit, with *FULL, or if the
 * stream cannot be made. */
size_t memout_fill(char *buffer, size_t size, memout_write *write, void *arg,
		   bool *full);

/* Into memory that is allocated, which the caller frees.  NULL without memory.
 */
char *memout_allocate(memout_write *write, void *arg, size_t *bytes);

#endif
