#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "clock.h"
#include "cmd.h"
#include "health.h"
#include "lastlook.h"
#include "options.h"
#include "print.h"
#include "statusjson.h"
#include "survey.h"
#include "targets.h"

/* The time between two looks of --watch. */
#define WATCH_NS (2 * NS_PER_S)

static struct {
	const char *server;
	bool json, watch;
} args;

static const struct option_spec options[] = {
	{ .name = "server",
	  .metavar = "SOCKET",
	  .kind = OPTION_TEXT,
	  .help = "memory server (default " TARGETS_DEFAULT_SERVER ")",
	  .out.text = &args.server },
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print one JSON object",
	  .out.flag = &args.json },
	{ .name = "watch",
	  .kind = OPTION_FLAG,
	  .help = "look again every two seconds",
	  .out.flag = &args.watch },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl status",
	.args = "[NAME|SOCKET]...",
	.about = "Show running plugins and the memory server of this machine: "
		 "all, or those named.  Exit status: 0 all is up, 2 nothing "
		 "is running, 3 something doesn't answer, 4 pages are lost, "
		 "requests failed since the last check, or a server isn't up, "
		 "5 swap is on at a device that no plugin serves.",
	.options = options,
};

static void print_answer(const struct survey *survey)
{
	const struct target *target = survey->target;
	struct json_object *answer = survey->answer;

	if (answer_is(answer, "role", "memserver"))
		print_memserver(answer, target->socket);
	else if (answer_is(answer, "role", "plugin"))
		print_plugin(answer, target->name,
			     target->state && *target->state->device
				     ? target->state->device
				     : "no nbd device");
	else
		printf("%s: neither a plugin nor a memory server\n",
		       target->socket);
}

/* Whether no request has failed since check last looked. */
static bool no_failures(const struct survey *survey)
{
	struct lastlook look;

	if (!answer_is(survey->answer, "role", "plugin"))
		return true;
	lastlook_compare(survey->target->name, survey->answer, &look);
	if (!args.json)
		print_failures(&look);
	return look.failed_reads + look.failed_writes == 0;
}

static enum exit_status show_device(const struct survey *survey)
{
	enum devtrouble trouble =
		survey_judge(survey, args.json ? NULL : print_trouble, NULL);

	if (trouble == DEVTROUBLE_DEAD)
		return EXIT_DEAD_SWAP;
	return trouble == DEVTROUBLE_LOOSE ? EXIT_TROUBLE : EXIT_OK;
}

static enum exit_status worse(enum exit_status a, enum exit_status b)
{
	static const enum exit_status order[] = { EXIT_DEAD_SWAP,
						  EXIT_NO_ANSWER,
						  EXIT_TROUBLE };

	for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
		if (a == order[i] || b == order[i])
			return order[i];
	}
	return EXIT_OK;
}

static enum exit_status show(const struct target *target)
{
	enum exit_status status = EXIT_OK;
	struct survey survey;

	survey_target(target, &survey);
	if (args.json)
		statusjson_add(&survey);
	if (survey.answer) {
		if (!args.json)
			print_answer(&survey);
		if (!no_failures(&survey) || !health_serves(survey.answer))
			status = EXIT_TROUBLE;
	} else {
		fprintf(stderr, "rswapctl status: %s does not answer: %s\n",
			target->name, survey.why.text);
		status = EXIT_NO_ANSWER;
		if (target->state && !args.json)
			printf("%s: %s, no answer\n", target->name,
			       *target->state->device ? target->state->device
						      : "no nbd device");
	}
	if (target->state && !args.json)
		print_device(&survey.device);
	return worse(status, show_device(&survey));
}

/* One look at all targets. */
static enum exit_status look(const struct target *targets, int n)
{
	enum exit_status status = EXIT_OK;

	for (int i = 0; i < n; i++) {
		if (i && !args.json)
			putchar('\n');
		status = worse(status, show(&targets[i]));
	}
	if (args.json)
		statusjson_print(stdout, !args.watch);
	if (n)
		return status;
	fprintf(stderr, "rswapctl status: nothing is running\n");
	return EXIT_NOTHING;
}

/* Until a signal ends it, or nobody reads any more. */
static void watch(char **argv, int words)
{
	static struct target targets[TARGETS_MAX];
	bool screen = isatty(STDOUT_FILENO) && !args.json;

	do {
		int n = targets_find(&cmdline, argv, words, args.server,
				     targets);

		/* on a terminal each look takes the place of the one before */
		if (screen)
			fputs("\033[H\033[2J", stdout);
		look(targets, n);
		if (!screen && !args.json)
			putchar('\n');
		clock_sleep_ns(WATCH_NS);
	} while (!ferror(stdout));
}

int cmd_status(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&cmdline, argc, argv);

	if (args.watch) {
		watch(argv, words);
		return EXIT_FAILED;
	}
	return look(targets,
		    targets_find(&cmdline, argv, words, args.server, targets));
}
