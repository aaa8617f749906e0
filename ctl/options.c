#include "options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "cmd.h"
#include "journal.h"

void options_die(const struct cmdline *cmdline, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s%s: ", journal_has(STDERR_FILENO) ? SD_ERR : "",
		cmdline->program);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILED);
}

int options_parse(const struct cmdline *cmdline, int argc, char **argv)
{
	struct cmdline_error why;
	int n_words;

	switch (cmdline_parse(cmdline, argc, argv, &n_words, &why)) {
	case CMDLINE_WRONG:
		options_die(cmdline, "%s", why.text);
	case CMDLINE_HELP:
		cmdline_help(cmdline);
		exit(EXIT_OK);
	default:
		return n_words;
	}
}
