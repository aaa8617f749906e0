#include "argvec.h"

#include <stdarg.h>
#include <stdio.h>

void argvec_add(struct argvec *args, const char *format, ...)
{
	size_t room = sizeof args->text - args->have;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(args->text + args->have, room, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room || args->argc == ARGVEC_WORDS_MAX)
		return;
	args->argv[args->argc++] = args->text + args->have;
	args->argv[args->argc] = NULL;
	args->have += (size_t)n + 1;
}
