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
