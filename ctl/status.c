#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "ctlsock.h"
#include "health.h"
#include "options.h"
#include "print.h"
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

static const struct usage usage = {
	.synopsis = "status [NAME|SOCKET]... [OPTION]...",
	.about = "Show running plugins and the memory server of this machine: "
		 "all, or those named.\nExit status: 0 all is up, 2 nothing "
		 "is running, 3 something doesn't answer,\n4 pages are lost "
		 "or a server isn't up.",
	.options = options,
};

static void print_answer(const char *answer, const struct target *target)
{
	char role[16];

	if (args.raw)
		printf("socket %s\n%s", target->socket, answer);
	else if (!ctlsock_value(answer, "role", role, sizeof role))
		printf("%s: neither a plugin nor a memory server\n",
		       target->socket);
	else if (!strcmp(role, "memserver"))
		print_memserver(answer, target->socket);
	else
		print_plugin(answer, target->name,
			     target->device ? target->device : "no nbd device");
}

static enum exit_status show(const struct target *target)
{
	struct reason why;
	const char *answer = target_ask(target, &why);

	if (!answer) {
		fprintf(stderr, "rswapctl status: %s does not answer: %s\n",
			target->name, why.text);
		return EXIT_NO_ANSWER;
	}
	print_answer(answer, target);
	return health_serves(answer) ? EXIT_OK : EXIT_TROUBLE;
}

/* What does not answer is worse than what has trouble. */
static enum exit_status worse(enum exit_status a, enum exit_status b)
{
	if (a == EXIT_NO_ANSWER || b == EXIT_NO_ANSWER)
		return EXIT_NO_ANSWER;
	return a == EXIT_OK ? b : a;
}

int cmd_status(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&usage, argc, argv);
	int n = targets_find(&usage, argv, words, args.server, targets);
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
