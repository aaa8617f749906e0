#include "doctor.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "front.h"
#include "options.h"
#include "tls.h"

#define SERVES (1u << ROLE_SERVER)
#define SWAPS  (1u << ROLE_COMPUTE)

static struct {
	const char *front;
	const char *plugin;
	const char *role;
	const char *psk_file;
	const char *identity;
	bool tune, apply;
} args = { .front = "auto" };

static bool dead_swap;

static const struct option_spec options[] = {
	{ .name = "role",
	  .metavar = "server|compute|both",
	  .kind = OPTION_CHOICE,
	  .choices = "server|compute|both",
	  .help = "serve memory, swap, or both",
	  .out.text = &args.role },
	{ .name = "front",
	  .metavar = FRONT_NAMES,
	  .kind = OPTION_CHOICE,
	  .choices = FRONT_NAMES,
	  .help = "the front end to check, as attach has it",
	  .preset = "auto",
	  .out.text = &args.front },
	{ .name = "plugin",
	  .metavar = "PATH",
	  .kind = OPTION_TEXT,
	  .help = "nbdkit's plugin, or its name (default rswap)",
	  .out.text = &args.plugin },
	{ .name = "psk-file",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "connect to each SERVER by TLS, with a key of this file",
	  .out.text = &args.psk_file },
	{ .name = "identity",
	  .metavar = "NAME",
	  .kind = OPTION_TEXT,
	  .help = "which key of the file (default: the only one)",
	  .out.text = &args.identity },
	{ .name = "tune",
	  .kind = OPTION_FLAG,
	  .help = "print nothing but the kernel's memory settings, and the "
		  "best ones",
	  .out.flag = &args.tune },
	{ .name = "apply",
	  .kind = OPTION_FLAG,
	  .help = "with --tune: set them, until the last detach",
	  .out.flag = &args.apply },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl doctor",
	.args = "[SERVER]...",
	.about = "Check whether this machine can serve memory, or swap through "
		 "rswap and reach each SERVER (HOST[:PORT]); say what to do.  "
		 "Exit status 1 if it can't do what --role says (default: "
		 "compute with a SERVER; else it is enough to be fit for "
		 "one), 5 if swap is on at a device that no plugin serves.",
	.options = options,
};

static void check_front(void)
{
	doctor_front(args.front, args.plugin);
}

/* What is started from here has the limits of this process. */
static void check_group(void)
{
	doctor_group_memory(getpid(), "control group");
}

static void check_attached(void)
{
	dead_swap = doctor_attached();
}

static const struct {
	unsigned roles; /* that it concerns */
	void (*run)(void);
} checks[] = {
	{ SERVES | SWAPS, doctor_rdma },
	{ SERVES | SWAPS, doctor_limits },
	{ SERVES | SWAPS, doctor_huge_pages },
	{ SERVES | SWAPS, check_group },
	{ SWAPS, doctor_scheduling },
	{ SWAPS, doctor_memory },
	{ SWAPS, doctor_group_swap },
	{ SWAPS, doctor_tools },
	{ SWAPS, check_front },
	{ SWAPS, check_attached },
};

/* NULL: without --psk-file. */
static struct tls_context *open_key(void)
{
	struct tls_context *tls;
	struct error why;

	if (!args.psk_file && args.identity)
		options_die(&cmdline, "--identity=%s: allowed with --psk-file",
			    args.identity);
	if (!args.psk_file)
		return NULL;
	tls = tls_client_read(args.psk_file, args.identity, &why);
	if (!tls)
		options_die(&cmdline, "--psk-file=%s: %s", args.psk_file,
			    why.text);
	return tls;
}

static void run_checks(unsigned roles, char **servers, int n_servers,
		       const struct tls_context *tls)
{
	for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
		doctor_concerned = checks[i].roles & roles;
		if (doctor_concerned)
			checks[i].run();
	}
	doctor_concerned = roles;
	for (int i = 0; i < n_servers; i++)
		doctor_server(servers[i], tls);
}

static void tell_verdict(enum role role)
{
	static const char *const to_do[] = { "serve memory",
					     "swap through rswap" };
	unsigned n = doctor_failures[role];

	if (n)
		printf("this machine can't %s, or not safely: %u failure%s\n",
		       to_do[role], n, n == 1 ? "" : "s");
	else
		printf("this machine can %s\n", to_do[role]);
}

static unsigned asked_roles(int n_servers)
{
	if (!args.role)
		return n_servers ? SWAPS : SERVES | SWAPS;
	if (!strcmp(args.role, "server"))
		return SERVES;
	return strcmp(args.role, "both") ? SWAPS : SERVES | SWAPS;
}

int cmd_doctor(int argc, char **argv)
{
	struct tls_context *tls;
	int servers;
	unsigned roles, unfit = 0;

	servers = options_parse(&cmdline, argc, argv);
	if (args.apply && !args.tune)
		options_die(&cmdline, "--apply: allowed with --tune");
	if (args.tune)
		return doctor_tune(args.apply);
	roles = asked_roles(servers);
	tls = open_key();
	run_checks(roles, argv, servers, tls);
	tls_context_free(tls);
	for (int role = 0; role < N_ROLES; role++) {
		if (!(roles >> role & 1))
			continue;
		tell_verdict((enum role)role);
		if (doctor_failures[role])
			unfit |= 1u << role;
	}
	if (dead_swap)
		return EXIT_DEAD_SWAP;
	/* Without a role, fit for one of them is enough. */
	if (!args.role && !servers)
		return unfit == roles ? EXIT_FAILED : EXIT_OK;
	return unfit ? EXIT_FAILED : EXIT_OK;
}
