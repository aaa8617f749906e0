#include "doctor.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "cmd.h"
#include "nbdkit.h"
#include "options.h"

static struct {
	const char *plugin;
} args;

static bool failed;

static const struct option_spec options[] = {
	{ .name = "plugin",
	  .metavar = "PATH",
	  .kind = OPTION_TEXT,
	  .help = "the plugin, or its name (default rswap)",
	  .out.text = &args.plugin },
	{ .name = NULL },
};

static const struct usage usage = {
	.synopsis = "doctor [SERVER]... [OPTION]...",
	.about = "Check whether this machine can swap through rswap, and "
		 "reach each SERVER\n(HOST[:PORT]); say what to do.  Exit "
		 "status 1 if something fails.",
	.options = options,
};

void doctor_tell(enum finding finding, const char *what, const char *remedy,
		 const char *format, ...)
{
	static const char *const words[] = { "ok", "warn", "FAIL" };
	va_list ap;

	failed = failed || finding == FOUND_FAIL;
	printf("%-5s %-22s ", words[finding], what);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	if (remedy)
		printf("  -> %s", remedy);
	putchar('\n');
}

int cmd_doctor(int argc, char **argv)
{
	int servers;

	args.plugin = nbdkit_default_plugin();
	servers = options_parse(&usage, argc, argv);
	doctor_modules();
	doctor_nbd();
	doctor_rdma();
	doctor_limits();
	doctor_scheduling();
	doctor_memory();
	doctor_tools(args.plugin);
	for (int i = 0; i < servers; i++)
		doctor_server(argv[i]);
	return failed ? EXIT_FAILED : EXIT_OK;
}
