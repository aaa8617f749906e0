#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "cmd.h"
#include "ctlsock.h"
#include "options.h"

#define ANSWER_NS	(5 * NS_PER_S)
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

/* A server that does not know the command, or refuses it, answers "error ...".
 */
static int complain(const char *answer)
{
	fprintf(stderr, "rswapctl drain: %s: %.*s\n", args.control,
		(int)strcspn(answer, "\n"), answer);
	return EXIT_FAILED;
}

static int show(const char *answer)
{
	char state[16], slabs[16], sessions[16], away[16];

	if (!ctlsock_value(answer, "state", state, sizeof state) ||
	    !ctlsock_value(answer, "slabs", slabs, sizeof slabs) ||
	    !ctlsock_value(answer, "sessions", sessions, sizeof sessions) ||
	    !ctlsock_value(answer, "sessions_away", away, sizeof away))
		return complain(answer);
	printf("%s: %s, with %s slabs of %s sessions (%s disconnected)\n",
	       args.control, state, slabs, sessions, away);
	return EXIT_OK;
}

int cmd_drain(int argc, char **argv)
{
	static char answer[4096];
	struct error why;

	args.control = DEFAULT_CONTROL;
	if (options_parse(&cmdline, argc, argv) > 0)
		options_die(&cmdline, "%s: allowed are options only", argv[0]);
	if (ctlsock_ask(args.control, args.undo ? "undrain" : "drain", answer,
			sizeof answer, clock_now_ns() + ANSWER_NS, &why) < 0) {
		fprintf(stderr, "rswapctl drain: --control=%s: %s\n",
			args.control, why.text);
		return EXIT_FAILED;
	}
	return show(answer);
}
