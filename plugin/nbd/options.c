#include "options.h"

#include <stdio.h>
#include <string.h>

static const char *socket_path, *pidfile;

static const struct option_spec specs[] = {
	{ .name = "unix",
	  .metavar = "SOCKET",
	  .kind = OPTION_TEXT,
	  .help = "serve clients on this Unix socket (also -U SOCKET); "
		  "required",
	  .out.text = &socket_path },
	{ .name = "pidfile",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "write the process id there once clients are served",
	  .out.text = &pidfile },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswap-nbd",
	.args = "--unix=SOCKET [server=]HOST[:PORT] size=SIZE [KEY=VALUE...]",
	.about = "Serves a block device whose pages live in the memory of "
		 "other machines, over the NBD protocol.",
	.options = specs,
	.has_version = true,
};

void options_help(void)
{
	config_fill_help();
	cmdline_help(&cmdline);
	printf("\nKeys:\n%s\n", config_help);
}

/* nbdkit's short option, for those who know it. */
static void take_short(int argc, char **argv)
{
	static char name[] = "--unix";

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-U"))
			argv[i] = name;
	}
}

enum cmdline_verdict options_parse(int argc, char **argv,
				   struct options *options,
				   struct config *config,
				   struct cmdline_error *why)
{
	enum cmdline_verdict verdict;
	int n_words;

	socket_path = pidfile = NULL;
	take_short(argc, argv);
	verdict = cmdline_parse(&cmdline, argc, argv, &n_words, why);
	if (verdict != CMDLINE_RUN)
		return verdict;
	*options =
		(struct options){ .socket = socket_path, .pidfile = pidfile };
	if (!socket_path) {
		snprintf(why->text, sizeof why->text,
			 "--unix=SOCKET is missing: the Unix socket that "
			 "clients connect to");
		return CMDLINE_WRONG;
	}
	if (config_words(config, n_words, argv))
		return CMDLINE_RUN;
	snprintf(why->text, sizeof why->text, "%s", config->why);
	return CMDLINE_WRONG;
}
