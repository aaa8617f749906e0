/* nbdkit's threads for each connection.  nbdkit tells its plugins nothing of
 * them, so they are read from its command line. */
#ifndef RSWAP_NBDKIT_THREADS_H
#define RSWAP_NBDKIT_THREADS_H

#include <stddef.h>

/* Without an option. */
#define NBDKIT_THREADS 16u

/* What -t or --threads of nbdkit's command line says.  WORDS are its arguments,
 * each with its end '\0', in BYTES bytes, the program's name first.
 * NBDKIT_THREADS where there is no such option.  Any thread. */
unsigned nbdkit_threads_of(const char *words, size_t bytes);

/* That of this process. */
unsigned nbdkit_threads(void);

#endif
