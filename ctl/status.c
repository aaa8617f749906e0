#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "ctlsock.h"
#include "health.h"
#include "lastlook.h"
#include "options.h"
#include "print.h"
#include "survey.h"
#include "targets.h"

static struct {
	const char *server;
	bool raw;
} args;

static const struct option_spec options[] = {
	{ .name = "server",
	  .metavar = "SOCKET",
	  .kind = OPTION_TEXT,
	  .help = "memory server (default " TARGETS_DEFAULT_SERVER ")",
	  .out.text = &args.server },
	{ .name = "raw",
	  .kind = OPTION_FLAG,
	  .help = "print the key value lines as they come",
	  .out.flag = &args.raw },
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

static bool is_role(const char *answer, const char *wanted)
{
	char role[16];

	return ctlsock_value(answer, "role", role, sizeof role) &&
	       !strcmp(role, wanted);
}

static void print_answer(const struct survey *survey)
{
	const struct target *target = survey->target;
	const char *answer = survey->answer;

	if (args.raw)
		printf("socket %s\n%s", target->socket, answer);
	else if (is_role(answer, "memserver"))
		print_memserver(answer, target->socket);
	else if (is_role(answer, "plugin"))
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

	if (!is_role(survey->answer, "plugin"))
		return true;
	lastlook_compare(survey->target->name, survey->answer, &look);
	if (!args.raw)
		print_failures(&look);
	return look.failed_reads + look.failed_writes == 0;
}

static enum exit_status show_device(const struct survey *survey)
{
	enum devtrouble trouble =
		survey_judge(survey, args.raw ? NULL : print_trouble, NULL);

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
	if (survey.answer) {
		print_answer(&survey);
		if (!no_failures(&survey) || !health_serves(survey.answer))
			status = EXIT_TROUBLE;
	} else {
		fprintf(stderr, "rswapctl status: %s does not answer: %s\n",
			target->name, survey.why.text);
		status = EXIT_NO_ANSWER;
		if (target->state && !args.raw)
			printf("%s: %s, no answer\n", target->name,
			       *target->state->device ? target->state->device
						      : "no nbd device");
	}
	if (target->state && !args.raw)
		print_device(&survey.device);
	return worse(status, show_device(&survey));
}

int cmd_status(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&cmdline, argc, argv);
	int n = targets_find(&cmdline, argv, words, args.server, targets);
	enum exit_status status = EXIT_OK;

	for (int i = 0; i < n; i++) {
		if (i)
			putchar('\n');
		status = worse(status, show(&targets[i]));
	}
	if (n)
		return status;
	fprintf(stderr, "rswapctl status: nothing is running\n");
	return EXIT_NOTHING;
}
