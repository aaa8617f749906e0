#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "attach", cmd_attach, "swap to one or more memory servers" },
	{ "detach", cmd_detach, "stop swapping, disconnect, stop the plugin" },
	{ "status", cmd_status, "show running plugins and the memory server" },
	{ "top", cmd_top, "show what goes through them, live" },
	{ "events", cmd_events, "show what changed, and when" },
	{ "check", cmd_check, "tell what is wrong, for monitoring" },
	{ "doctor", cmd_doctor,
	  "check this machine, and servers, for trouble" },
	{ "ping", cmd_ping, "read a page of a memory server again and again" },
	{ "try", cmd_try, "test memory servers with a small device" },
	{ "bench", cmd_bench, "measure on a temporary device" },
	{ "report", cmd_report, "make an archive for a bug report" },
	{ "scrub", cmd_scrub, "read and check every copy of every page" },
	{ "drain", cmd_drain,
	  "have the memory server's clients move elsewhere" },
	{ "pool", cmd_pool,
	  "show the memory servers of a pool, and what is reserved" },
	{ "genkey", cmd_genkey, "make a key for a client" },
};

#define N_COMMANDS (sizeof commands / sizeof commands[0])

static void print_help(void)
{
	puts("Usage: rswapctl COMMAND [ARGUMENT]...\n"
	     "Swap to another machine's memory: set it up, look at it, end "
	     "it.\n");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].help);
	puts("\n  --help     show this and exit\n"
	     "  --version  show the version and exit\n\n"
	     "\"rswapctl COMMAND --help\" tells more; so does rswapctl(8).");
}

/* Some tools are in the sbin directories, which are not in the PATH of an
 * ordinary user or of a bare environment. */
static void extend_path(void)
{
	const char *path = getenv("PATH");
	char longer[4096];

	snprintf(longer, sizeof longer,
		 "%s%s/usr/local/sbin:/usr/local/bin:"
		 "/usr/sbin:/usr/bin:/sbin:/bin",
		 path ? path : "", path && *path ? ":" : "");
	setenv("PATH", longer, 1);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	/* a reader sees progress at once, also through a pipe */
	setvbuf(stdout, NULL, _IOLBF, 0);
	extend_path();
	/* which characters the terminal has: top asks */
	setlocale(LC_CTYPE, "");
	/* rswapctl shows the tools' messages, and looks for words in one of
	 * them */
	setenv("LC_ALL", "C", 1);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return commands[i].run(argc - 1, argv + 1);
	}
	if (!strcmp(name, "--help")) {
		print_help();
		return EXIT_OK;
	}
	if (!strcmp(name, "--version")) {
		puts("rswapctl " RSWAP_VERSION);
		return EXIT_OK;
	}
	if (argc < 2)
		fprintf(stderr, "rswapctl: a command is missing");
	else
		fprintf(stderr, "rswapctl: %s: no such command", name);
	fprintf(stderr, "; allowed are ");
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(stderr, "%s, ", commands[i].name);
	fprintf(stderr, "--help, --version\n");
	return EXIT_FAILED;
}
