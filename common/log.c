#include "log.h"

#include <stdarg.h>
#include <stdio.h>

static void to_stderr(enum log_level level, const char *line)
{
	if (level != LOG_LEVEL_DEBUG)
		fprintf(stderr, "rswap: %s\n", line);
}

static log_sink *current_sink = to_stderr;

void log_to(log_sink *sink)
{
	current_sink = sink;
}

#define LOG_BODY(level)                                                        \
	do {                                                                   \
		char line[500];                                                \
		va_list args;                                                  \
                                                                               \
		va_start(args, format);                                        \
		vsnprintf(line, sizeof line, format, args);                    \
		va_end(args);                                                  \
		current_sink(level, line);                                     \
	} while (0)

void log_error(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_ERROR);
}

void log_notice(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_NOTICE);
}

void log_debug(const char *format, ...)
{
	LOG_BODY(LOG_LEVEL_DEBUG);
}
