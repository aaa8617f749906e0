#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>

unsigned doctor_concerned, doctor_failures[N_ROLES];

void doctor_tell(enum finding finding, const char *what, const char *remedy,
		 const char *format, ...)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };
	va_list ap;

	for (int role = 0; role < N_ROLES && finding == FOUND_FAIL; role++)
		doctor_failures[role] += doctor_concerned >> role & 1;
	printf("%-5s %-22s ", words[finding], what);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	if (remedy)
		printf("  -> %s", remedy);
	putchar('\n');
}
