/* Why something failed, in words, for the one line that a user gets. */
#ifndef RSWAP_ERROR_H
#define RSWAP_ERROR_H

#include <stdarg.h>
#include <stdio.h>

/* Owned by the caller, usually on its stack.  Functions that take one fill it
 * when they fail and leave it alone otherwise. */
struct error {
	char text[256];
};

__attribute__((format(printf, 2, 3))) static inline void
error_set(struct error *why, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, sizeof why->text, format, args);
	va_end(args);
}

#endif
