#include "program.h"

#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "journal.h"
#include "log.h"
#include "newfile.h"

static const char *program;
static bool under_journal;

static void log_line(enum log_level level, const char *line)
{
	if (level == LOG_LEVEL_ERROR || level == LOG_LEVEL_NOTICE)
		fprintf(stderr, "%s%s: %s\n",
			under_journal ? journal_priority(level) : "", program,
			line);
}

void program_log(const char *name)
{
	program = name;
	under_journal = journal_has(STDERR_FILENO);
	log_to(log_line);
}

int program_write_pidfile(const char *path, struct error *why)
{
	char text[32];

	snprintf(text, sizeof text, "%d\n", (int)getpid());
	return path ? newfile_replace(path, text, why) : 0;
}
