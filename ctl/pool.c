/* "rswapctl pool status": the memory servers that are registered in a pool. */
#include "pool.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "members.h"
#include "options.h"
#include "poolprint.h"

/* How long a look may take. */
#define LOOK_NS (10 * NS_PER_S)

static struct {
	bool json, watch;
} args;

/* Its files are those of the options. */
static struct pool pool;

static const struct option_spec options[] = {
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print one JSON object",
	  .out.flag = &args.json },
	{ .name = "watch",
	  .kind = OPTION_FLAG,
	  .help = "show each change, as etcd tells of it",
	  .out.flag = &args.watch },
	{ .name = "pool-ca",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "talk to etcd by TLS: who signed its certificate, as PEM",
	  .out.text = &pool.etcd.ca },
	{ .name = "pool-cert",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "the certificate of this client of etcd",
	  .out.text = &pool.etcd.cert },
	{ .name = "pool-key",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "and its key",
	  .out.text = &pool.etcd.key },
	{ .name = "pool-login",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "a user of etcd: a file with the line USER:PASSWORD",
	  .out.text = &pool.etcd.login },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl pool",
	.args = "status etcd://HOST[:PORT][,HOST[:PORT]].../NAME",
	.about = "Show the memory servers that are registered in a pool.  Exit "
		 "status: 0, 2 no server is there, 3 etcd doesn't answer.",
	.options = options,
};

static void parse(int argc, char **argv)
{
	int words = options_parse(&cmdline, argc, argv);
	struct error why;

	if (words != 2 || strcmp(argv[0], "status"))
		options_die(&cmdline, "allowed is: status URL (see --help)");
	if (!pool_set_url(&pool, argv[1]))
		options_die(&cmdline, "%s is not allowed: it must be %s",
			    argv[1], POOL_URL_ALLOWED);
	if (!pool_check_files(&pool, "--", &why))
		options_die(&cmdline, "%s", why.text);
}

static void show(const struct members *members, const struct etcd *etcd)
{
	if (args.json)
		poolprint_json(&pool, members, !args.watch);
	else
		poolprint_table(&pool, members, etcd_endpoint(etcd).text);
	fflush(stdout);
}

static enum exit_status look(struct members *members, struct etcd *etcd)
{
	struct error why;

	if (members_step(members, clock_now_ns() + LOOK_NS, &why)) {
		fprintf(stderr, "rswapctl pool: %s\n", why.text);
		return EXIT_NO_ANSWER;
	}
	show(members, etcd);
	return members->n ? EXIT_OK : EXIT_NOTHING;
}

/* Until a signal ends it, or nobody reads any more. */
static void watch(struct members *members, struct etcd *etcd)
{
	bool screen = isatty(STDOUT_FILENO) && !args.json;
	uint64_t shown = 0;

	while (!ferror(stdout)) {
		struct error why;
		int rc = members_step(members, clock_now_ns() + LOOK_NS, &why);

		if (rc) {
			fprintf(stderr, "rswapctl pool: %s\n", why.text);
			etcd_pause(etcd,
				   clock_now_ns() + etcd_backoff_ns(etcd));
		}
		if (members->changes == shown || rc)
			continue;
		shown = members->changes;
		if (screen)
			fputs("\033[H\033[2J", stdout);
		show(members, etcd);
	}
}

int cmd_pool(int argc, char **argv)
{
	enum exit_status status = EXIT_FAILED;
	struct members members;
	struct etcd *etcd;
	struct error why;

	parse(argc, argv);
	if (etcd_open(&etcd, &pool.etcd, &why)) {
		fprintf(stderr, "rswapctl pool: %s\n", why.text);
		return EXIT_FAILED;
	}
	members_open(&members, etcd, &pool);
	if (args.watch)
		watch(&members, etcd);
	else
		status = look(&members, etcd);
	members_close(&members);
	etcd_close(etcd);
	return status;
}
