#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "ctlsock.h"
#include "options.h"
#include "print.h"
#include "statedir.h"

#define ALL_MAX 256
/* Each is on this machine: one that takes longer is stuck. */
#define ANSWER_NS      (5 * NS_PER_S)
#define DEFAULT_SERVER "/run/rswap-memserver/control.sock"

static struct {
	const char *server;
	bool raw;
} args;

static const struct option_spec options[] = {
	{ .name = "server",
	  .metavar = "SOCKET",
	  .kind = OPTION_TEXT,
	  .help = "memory server (default " DEFAULT_SERVER ")",
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
		 "is running, 3 something doesn't answer.",
	.options = options,
};

/* What has been shown so far. */
static struct {
	int up;
	int silent;
} seen;

static void print_answer(const char *answer, const char *name,
			 const char *device, const char *socket)
{
	char role[16];

	if (seen.up + seen.silent > 1)
		putchar('\n');
	if (args.raw)
		printf("socket %s\n%s", socket, answer);
	else if (!ctlsock_value(answer, "role", role, sizeof role))
		printf("%s: neither a plugin nor a memory server\n", socket);
	else if (!strcmp(role, "memserver"))
		print_memserver(answer, socket);
	else
		print_plugin(answer, name, device);
}

static void show(const char *name, const char *device, const char *socket)
{
	/* more than the largest answer that a server gives */
	static char answer[512 * 1024];
	struct reason why;

	if (ctlsock_ask(socket, "status", answer, sizeof answer,
			clock_now_ns() + ANSWER_NS, &why) < 0) {
		seen.silent++;
		fprintf(stderr, "rswapctl status: %s does not answer: %s\n",
			name, why.text);
		return;
	}
	seen.up++;
	print_answer(answer, name, device, socket);
}

static void show_name(const char *name)
{
	struct state_path socket = statedir_path(name, "control.sock");
	struct reason ignored;
	struct state state;

	if (statedir_load(name, &state, &ignored) < 0)
		snprintf(state.device, sizeof state.device, "no nbd device");
	show(name, state.device, socket.text);
}

static void show_word(const char *word)
{
	if (strchr(word, '/'))
		show(word, "no nbd device", word);
	else if (statedir_name_ok(word))
		show_name(word);
	else
		options_die(&usage,
			    "%s: allowed is a NAME, or the path of a "
			    "SOCKET",
			    word);
}

static void show_all(void)
{
	static char names[ALL_MAX][STATE_NAME_MAX + 1];
	int n = statedir_list(names, ALL_MAX);

	for (int i = 0; i < n; i++)
		show_name(names[i]);
}

int cmd_status(int argc, char **argv)
{
	int words = options_parse(&usage, argc, argv);

	for (int i = 0; i < words; i++)
		show_word(argv[i]);
	if (words == 0)
		show_all();
	/* one that isn't there need not be; one that was asked for must */
	if (args.server)
		show("memory server", "", args.server);
	else if (words == 0 && access(DEFAULT_SERVER, F_OK) == 0)
		show("memory server", "", DEFAULT_SERVER);
	if (seen.silent)
		return EXIT_NO_ANSWER;
	if (seen.up)
		return EXIT_OK;
	fprintf(stderr, "rswapctl status: nothing is running\n");
	return EXIT_NOTHING;
}
