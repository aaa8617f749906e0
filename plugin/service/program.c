#include "program.h"

#include <stdio.h>
#include <unistd.h>

#include "log.h"
#include "newfile.h"

static const char *program;

static void log_line(enum log_level level, const char *line)
{
	if (level == LOG_LEVEL_ERROR || level == LOG_LEVEL_NOTICE)
		fprintf(stderr, "%s: %s\n", program, line);
}

void program_log(const char *name)
{
	program = name;
	log_to(log_line);
}

int program_write_pidfile(const char *path, struct error *why)
{
	char text[32];

	snprintf(text, sizeof text, "%d\n", (int)getpid());
	return path ? newfile_replace(path, text, why) : 0;
}
