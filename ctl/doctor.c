#include "doctor.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "nbdkit.h"
#include "options.h"
#include "tls.h"

#define SERVES (1u << ROLE_SERVER)
#define SWAPS  (1u << ROLE_COMPUTE)

static struct {
	const char *plugin;
	const char *role;
	const char *psk_file;
	const char *identity;
} args;

static bool dead_swap;

static const struct option_spec options[] = {
	{ .name = "role",
	  .metavar = "server|compute|both",
	  .kind = OPTION_CHOICE,
	  .choices = "server|compute|both",
	  .help = "serve memory, swap, or both",
	  .out.text = &args.role },
	{ .name = "plugin",
	  .metavar = "PATH",
	  .kind = OPTION_TEXT,
	  .help = "the plugin, or its name (default rswap)",
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

static void check_tools(void)
{
	doctor_tools(args.plugin);
}

static void check_attached(void)
{
	dead_swap = doctor_attached();
}

static const struct {
	unsigned roles; /* that it concerns */
	void (*run)(void);
} checks[] = {
	{ SWAPS, doctor_nbd },
	{ SERVES | SWAPS, doctor_rdma },
	{ SERVES | SWAPS, doctor_limits },
	{ SWAPS, doctor_scheduling },
	{ SWAPS, doctor_memory },
	{ SWAPS, check_tools },
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

	args.plugin = nbdkit_default_plugin();
	servers = options_parse(&cmdline, argc, argv);
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
