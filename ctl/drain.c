#include <inttypes.h>
#include <stdio.h>

#include "answer.h"
#include "cmd.h"
#include "options.h"

#define DEFAULT_CONTROL "/run/rswap-memserver/control.sock"

static struct {
	const char *control;
	bool undo;
} args;

static const struct option_spec options[] = {
	{ .name = "control",
	  .metavar = "PATH",
	  .kind = OPTION_TEXT,
	  .help = "control socket (default " DEFAULT_CONTROL ")",
	  .out.text = &args.control },
	{ .name = "undo",
	  .kind = OPTION_FLAG,
	  .help = "serve again: ask for nothing any more",
	  .out.flag = &args.undo },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl drain",
	.about = "Have the memory server of this machine grant no slabs any "
		 "more, and ask its clients to move theirs to other servers.  "
		 "It goes on serving; \"rswapctl status\" shows what is left.",
	.options = options,
};

int cmd_drain(int argc, char **argv)
{
	struct json_object *answer;
	char state[16] = "-";
	struct error why;

	args.control = DEFAULT_CONTROL;
	if (options_parse(&cmdline, argc, argv) > 0)
		options_die(&cmdline, "%s: allowed are options only", argv[0]);
	answer =
		answer_ask(args.control, args.undo ? "undrain" : "drain", &why);
	if (!answer) {
		fprintf(stderr, "rswapctl drain: --control=%s: %s\n",
			args.control, why.text);
		return EXIT_FAILED;
	}
	answer_text(answer, "state", state, sizeof state);
	printf("%s: %s, with %" PRIu64 " slabs of %" PRIu64
	       " sessions (%" PRIu64 " disconnected)\n",
	       args.control, state, answer_number(answer, "slabs"),
	       answer_number(answer, "sessions"),
	       answer_number(answer, "sessions_away"));
	answer_put(answer);
	return EXIT_OK;
}
