#include "warning.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "journal.h"

void warning_print(const char *format, ...)
{
	va_list args;

	printf("%s  warning: ", journal_has(STDOUT_FILENO) ? SD_WARNING : "");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
}

void warning_error(const char *format, ...)
{
	va_list args;

	fputs(journal_has(STDERR_FILENO) ? SD_ERR : "", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
