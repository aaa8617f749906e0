#include <stdio.h>

#include "log.h"

static void to_stderr(enum log_level level, const char *line)
{
	if (level == LOG_LEVEL_ERROR || level == LOG_LEVEL_NOTICE)
		fprintf(stderr, "rswap: %s\n", line);
}

static log_sink *current_sink = to_stderr;

void log_to(log_sink *sink)
{
	current_sink = sink;
}

void log_write(enum log_level level, const char *line)
{
	current_sink(level, line);
}
