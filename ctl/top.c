#include <langinfo.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "flow.h"
#include "options.h"
#include "run.h"
#include "targets.h"
#include "term.h"
#include "topview.h"

static struct {
	const char *server;
	unsigned interval_s, count;
} args = { .interval_s = 2 };

static const struct option_spec options[] = {
	{ .name = "server",
	  .metavar = "SOCKET",
	  .kind = OPTION_TEXT,
	  .help = "memory server (default " TARGETS_DEFAULT_SERVER ")",
	  .out.text = &args.server },
	{ .name = "interval",
	  .metavar = "SECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "the time between two looks",
	  .min = 1,
	  .max = 3600,
	  .preset = "2",
	  .out.number = &args.interval_s },
	{ .name = "count",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "end after so many looks",
	  .min = 1,
	  .max = 1000000,
	  .out.number = &args.count },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl top",
	.args = "[NAME|SOCKET]...",
	.about = "Show, again and again, what goes through running plugins and "
		 "the memory server of this machine, or through those named: "
		 "requests and bytes a second, how long they take, and the "
		 "same for each server.  On a terminal until q or Ctrl-C; else "
		 "lines, as a table.",
	.options = options,
};

/* Asks all targets, and has SHOW write what each answered to OUT. */
static int look(char **argv, int words, topview_writer *show,
		const struct topview *view)
{
	static struct target targets[TARGETS_MAX];
	int n = targets_find(&cmdline, argv, words, args.server, targets);

	for (int i = 0; i < n; i++) {
		struct error why = { "" };
		struct json_object *answer = target_ask(&targets[i], &why);

		show(view, &targets[i], answer, &why);
	}
	return n;
}

/* The time of a look, as people read it. */
static void tell_time(char *text, size_t size)
{
	time_t now = time(NULL);
	struct tm tm;

	strftime(text, size, "%F %T", localtime_r(&now, &tm));
}

static void draw(char **argv, int words)
{
	struct topview view = { .columns = (size_t)term_columns(),
				.utf8 = !strcmp(nl_langinfo(CODESET),
						"UTF-8") };
	char *text = NULL;
	size_t bytes;

	view.out = open_memstream(&text, &bytes);
	if (!view.out)
		return;
	tell_time(view.time, sizeof view.time);
	topview_title(&view, args.interval_s);
	if (look(argv, words, topview_screen, &view) == 0)
		fputs("\nnothing is running\n", view.out);
	fclose(view.out);
	term_draw(text);
	free(text);
}

/* Sleeps until the next look; false: it is to end. */
static bool wait_on_terminal(uint64_t until_ns)
{
	while (!run_interrupted() && clock_now_ns() < until_ns) {
		uint64_t left_ns = until_ns - clock_now_ns();
		char key = term_key((unsigned)(left_ns / NS_PER_MS) + 1);

		if (key == 'q' || key == 'Q')
			return false;
		/* any other key, or another size of the screen: now */
		if (key || clock_now_ns() < until_ns)
			break;
	}
	return !run_interrupted();
}

static void show_on_terminal(char **argv, int words)
{
	term_open();
	for (unsigned looks = 1;; looks++) {
		uint64_t next_ns = clock_now_ns() + args.interval_s * NS_PER_S;

		draw(argv, words);
		if (args.count && looks > args.count)
			break;
		if (!wait_on_terminal(next_ns))
			break;
	}
	term_close();
}

static void wait_for_time(uint64_t until_ns)
{
	while (!run_interrupted() && clock_now_ns() < until_ns)
		run_pause((unsigned)((until_ns - clock_now_ns()) / NS_PER_MS) +
			  1);
}

/* What is known after one look has no rates yet, so that is not shown. */
static void show_as_table(char **argv, int words)
{
	struct topview view = { .out = stdout };

	topview_heading(stdout);
	for (unsigned looks = 1; !run_interrupted(); looks++) {
		uint64_t next_ns = clock_now_ns() + args.interval_s * NS_PER_S;

		tell_time(view.time, sizeof view.time);
		if (look(argv, words, topview_table, &view) == 0)
			printf("%s nothing is running\n", view.time);
		if (fflush(stdout) || (args.count && looks > args.count))
			break;
		wait_for_time(next_ns);
	}
}

int cmd_top(int argc, char **argv)
{
	int words = options_parse(&cmdline, argc, argv);

	run_catch_signals();
	if (isatty(STDOUT_FILENO))
		show_on_terminal(argv, words);
	else
		show_as_table(argv, words);
	return EXIT_OK;
}
