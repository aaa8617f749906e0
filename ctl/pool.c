/* "rswapctl pool": the memory servers that are registered in a pool, and what
 * is reserved on them. */
#include "pool.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "members.h"
#include "options.h"
#include "poolprint.h"
#include "poolreserve.h"
#include "size.h"

/* How long a look may take. */
#define LOOK_NS (10 * NS_PER_S)

static struct {
	bool json, watch, reserve;
} args;
static struct poolreserve_orders orders;
static bool given_quota;

/* Its files are those of the options. */
static struct pool pool;

static bool take_tenant(const char *text, struct error *why)
{
	orders.tenant = text;
	if (*text && strlen(text) < WIRE_NAME_BYTES && wire_name_ok(text))
		return true;
	error_set(why, "the name of a key, or - for clients without one");
	return false;
}

static bool take_quota(const char *text, struct error *why)
{
	given_quota = true;
	orders.has_quota = strcmp(text, "none") != 0;
	if (!orders.has_quota || (size_parse(text, &orders.quota_bytes) &&
				  orders.quota_bytes <= INT64_MAX))
		return true;
	error_set(why, "none, or a size with K, M, G or T");
	return false;
}

static bool take_overcommit(const char *text, struct error *why)
{
	if (overcommit_parse(text, &orders.overcommit_permille))
		return true;
	error_set(why, "a factor from 0.1 to 100, such as 1.5, with up to "
		       "three digits behind the point");
	return false;
}

static const struct option_spec options[] = {
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print one JSON object",
	  .out.flag = &args.json },
	{ .name = "watch",
	  .kind = OPTION_FLAG,
	  .help = "show each change, as etcd tells of it",
	  .out.flag = &args.watch },
	{ .name = "tenant",
	  .metavar = "IDENTITY",
	  .kind = OPTION_OTHER,
	  .help = "reserve: whose --quota",
	  .out.take = take_tenant },
	{ .name = "quota",
	  .metavar = "SIZE|none",
	  .kind = OPTION_OTHER,
	  .help = "reserve: set what the --tenant may reserve",
	  .out.take = take_quota },
	{ .name = "overcommit",
	  .metavar = "FACTOR",
	  .kind = OPTION_OTHER,
	  .help = "reserve: set how much of the memory may be reserved",
	  .out.take = take_overcommit },
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
	.args = "status|reserve etcd://HOST[:PORT][,HOST[:PORT]].../NAME",
	.about = "Show the memory servers that are registered in a pool, or "
		 "what is reserved on them; or set who may reserve how much.  "
		 "Exit status: 0, 2 no server is there, 3 etcd doesn't answer.",
	.options = options,
};

static void check_reserve(void)
{
	bool sets = orders.tenant || given_quota || orders.overcommit_permille;

	if (sets && !args.reserve)
		options_die(&cmdline, "--tenant, --quota and --overcommit are "
				      "allowed only with reserve");
	if (args.watch && args.reserve)
		options_die(&cmdline, "--watch is allowed only with status");
	if (!orders.tenant != !given_quota)
		options_die(&cmdline, "--tenant and --quota: both or none are "
				      "allowed");
}

static void parse(int argc, char **argv)
{
	int words = options_parse(&cmdline, argc, argv);
	struct error why;

	args.reserve = words == 2 && !strcmp(argv[0], "reserve");
	if (words != 2 || (!args.reserve && strcmp(argv[0], "status")))
		options_die(&cmdline, "allowed is: status URL, or reserve URL "
				      "(see --help)");
	check_reserve();
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

/* --- reserve --- */

static enum exit_status reserve(struct members *members, struct etcd *etcd)
{
	struct poolreserve_view view = { .n_clients = 0 };
	struct error why;
	int rc = poolreserve_set(etcd, &pool, &orders, &why);

	if (!rc)
		rc = members_step(members, clock_now_ns() + LOOK_NS, &why);
	if (!rc)
		rc = poolreserve_read(etcd, &pool, members, &view, &why);
	if (rc)
		fprintf(stderr, "rswapctl pool: %s\n", why.text);
	else if (args.json)
		poolreserve_print_json(&pool, &view);
	else
		poolreserve_print(&pool, &view);
	poolreserve_free(&view);
	if (rc)
		return EXIT_NO_ANSWER;
	return members->n ? EXIT_OK : EXIT_NOTHING;
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
	if (args.reserve)
		status = reserve(&members, etcd);
	else if (args.watch)
		watch(&members, etcd);
	else
		status = look(&members, etcd);
	members_close(&members);
	etcd_close(etcd);
	return status;
}
