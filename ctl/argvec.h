/* A command line that is put together word by word. */
#ifndef RSWAPCTL_ARGVEC_H
#define RSWAPCTL_ARGVEC_H

#include <stddef.h>

#define ARGVEC_WORDS_MAX 128
#define ARGVEC_TEXT_MAX	 (24u << 10)

struct argvec {
	const char *argv[ARGVEC_WORDS_MAX + 1]; /* ends with NULL */
	char text[ARGVEC_TEXT_MAX];
	size_t have;
	int argc;
};

/* A word that does not fit is left out, and the program refuses what is left.
 * The caller checks long words before. */
__attribute__((format(printf, 2, 3))) void argvec_add(struct argvec *args,
						      const char *format, ...);

#endif
