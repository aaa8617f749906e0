/* "rswapctl pool": the memory servers that are registered in a pool, and what
 * is reserved on them. */
#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "members.h"
#include "options.h"
#include "pooldrain.h"
#include "poolplan.h"
#include "poolprint.h"
#include "poolreserve.h"
#include "size.h"
#include "wire.h"

/* How long a look may take. */
#define LOOK_NS (10 * NS_PER_S)

/* How long a server has to obey an order, and to be emptied. */
#define OBEY_S	30
#define EMPTY_S 3600

static struct {
	bool json, watch, stop, wait, dry_run;
	unsigned timeout_s; /* 0: as it is usual */
} args;
static struct poolreserve_orders orders; /* of reserve */
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
	  .help = "status, rebalance, reserve: print one JSON object",
	  .out.flag = &args.json },
	{ .name = "watch",
	  .kind = OPTION_FLAG,
	  .help = "status: show each change, as etcd tells of it",
	  .out.flag = &args.watch },
	{ .name = "stop",
	  .kind = OPTION_FLAG,
	  .help = "drain: end the drain, serve again",
	  .out.flag = &args.stop },
	{ .name = "wait",
	  .kind = OPTION_FLAG,
	  .help = "drain: stay until clients have moved all slabs away",
	  .out.flag = &args.wait },
	{ .name = "timeout",
	  .metavar = "SECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "drain: how long to wait",
	  .preset = "30, with --wait 3600",
	  .min = 1,
	  .max = 604800,
	  .out.number = &args.timeout_s },
	{ .name = "dry-run",
	  .kind = OPTION_FLAG,
	  .help = "rebalance: show what front ends would move; they do so by "
		  "themselves",
	  .out.flag = &args.dry_run },
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
	.args = "status URL | drain URL SERVER | rebalance URL | reserve URL",
	.about =
		"Show the memory servers that are registered in a pool; URL is "
		"etcd://HOST[:PORT][,HOST[:PORT]].../NAME.  Or have one of "
		"them, SERVER (HOST[:PORT]), drain: grant no slabs any more, "
		"and ask its clients to move theirs to other servers.  Or show "
		"how unevenly they are filled, or what is reserved on them, "
		"or set who may reserve how much.  Exit "
		"status: 0, 1 it did not work, 2 no server is there, 3 etcd "
		"doesn't answer, or refuses.",
	.options = options,
};

static void parse_url(const char *url)
{
	struct error why;

	if (!pool_set_url(&pool, url))
		options_die(&cmdline, "%s is not allowed: it must be %s", url,
			    POOL_URL_ALLOWED);
	if (!pool_check_files(&pool, "--", &why))
		options_die(&cmdline, "%s", why.text);
}

/* An option that was given belongs to this command. */
static void only_with(const char *verb, const char *owner, const char *option,
		      bool given)
{
	if (given && strcmp(verb, owner))
		options_die(&cmdline, "--%s is allowed only with %s", option,
			    owner);
}

static void check_options(const char *verb)
{
	if (args.json && !strcmp(verb, "drain"))
		options_die(&cmdline, "--json is not allowed with drain");
	only_with(verb, "rebalance", "dry-run", args.dry_run);
	only_with(verb, "status", "watch", args.watch);
	only_with(verb, "drain", "stop", args.stop);
	only_with(verb, "drain", "wait", args.wait);
	only_with(verb, "drain", "timeout", args.timeout_s);
	only_with(verb, "reserve", "tenant", orders.tenant);
	only_with(verb, "reserve", "quota", given_quota);
	only_with(verb, "reserve", "overcommit", orders.overcommit_permille);
	if (!orders.tenant != !given_quota)
		options_die(&cmdline, "--tenant and --quota: both or none are "
				      "allowed");
	if (args.stop && args.wait)
		options_die(&cmdline, "--wait is allowed only without --stop");
}

/* --- status --- */

/* How often tenants are read anew: etcd tells only of servers by itself. */
#define TENANTS_NS (5 * NS_PER_S)

struct tenants {
	struct poolreserve_view view;
	uint64_t read_ns; /* 0: never */
};

static bool are_same(const struct poolreserve_view *a,
		     const struct poolreserve_view *b)
{
	return a->n_tenants == b->n_tenants &&
	       (!a->n_tenants || !memcmp(a->tenants, b->tenants,
					 a->n_tenants * sizeof *a->tenants));
}

/* Unless they were read just now.  *CHANGED is set if others are there. */
static int read_tenants(struct tenants *tenants, struct etcd *etcd,
			uint64_t deadline_ns, bool *changed, struct error *why)
{
	struct poolreserve_view view;
	int rc;

	if (tenants->read_ns && clock_left_ns(tenants->read_ns + TENANTS_NS))
		return 0;
	rc = poolreserve_read_tenants(etcd, &pool, deadline_ns, &view, why);
	if (rc) {
		poolreserve_free(&view);
		return rc;
	}
	*changed |= !are_same(&tenants->view, &view);
	poolreserve_free(&tenants->view);
	tenants->view = view;
	tenants->read_ns = clock_now_ns();
	return 0;
}

static void show(const struct members *members, const struct tenants *tenants,
		 const struct etcd *etcd)
{
	if (args.json)
		poolprint_json(&pool, members, &tenants->view, !args.watch);
	else
		poolprint_table(&pool, members, &tenants->view,
				etcd_endpoint(etcd).text);
	fflush(stdout);
}

/* Servers are shown also where it is not known what is reserved. */
static enum exit_status look(struct members *members, struct tenants *tenants,
			     struct etcd *etcd)
{
	uint64_t deadline_ns = clock_now_ns() + LOOK_NS;
	struct error why;
	bool changed = false;
	int rc = members_step(members, deadline_ns, &why);

	if (!rc) {
		rc = read_tenants(tenants, etcd, deadline_ns, &changed, &why);
		show(members, tenants, etcd);
	}
	if (rc) {
		fprintf(stderr, "rswapctl pool: %s\n", why.text);
		return EXIT_NO_ANSWER;
	}
	return members->n ? EXIT_OK : EXIT_NOTHING;
}

/* Until a signal ends it, or nobody reads any more. */
static void watch(struct members *members, struct tenants *tenants,
		  struct etcd *etcd)
{
	bool screen = isatty(STDOUT_FILENO) && !args.json;
	bool changed = true;
	unsigned failures = 0; /* of reading the tenants, in a row */
	uint64_t shown = 0;

	while (!ferror(stdout)) {
		uint64_t rest_ns = 0; /* members_step rests by itself */
		struct error why;
		int rc = members_step(members, clock_now_ns() + TENANTS_NS,
				      &why);

		if (!rc) {
			rc = read_tenants(tenants, etcd,
					  clock_now_ns() + LOOK_NS, &changed,
					  &why);
			failures = rc ? failures + 1 : 0;
			rest_ns = rc ? etcd_backoff_ns(failures) : 0;
		}
		if (rc) {
			if (rc != -EAGAIN)
				fprintf(stderr, "rswapctl pool: %s\n",
					why.text);
			etcd_pause(etcd, clock_now_ns() + rest_ns);
			continue;
		}
		if (members->changes == shown && !changed)
			continue;
		shown = members->changes;
		changed = false;
		if (screen)
			fputs("\033[H\033[2J", stdout);
		show(members, tenants, etcd);
	}
}

static enum exit_status status(struct members *members, struct etcd *etcd,
			       char **words)
{
	struct tenants tenants = { .read_ns = 0 };
	enum exit_status status = EXIT_FAILED;

	(void)words;
	if (args.watch)
		watch(members, &tenants, etcd);
	else
		status = look(members, &tenants, etcd);
	poolreserve_free(&tenants.view);
	return status;
}

/* --- drain --- */

/* As the keys have it. */
static struct net_text parse_server(const char *word)
{
	struct net_name name;
	struct error why;

	if (!net_name_parse(word, WIRE_DEFAULT_PORT, &name, &why))
		options_die(&cmdline, "SERVER %s: %s; allowed is HOST[:PORT]",
			    word, why.text);
	return net_name_format(&name);
}

static enum exit_status drain(struct members *members, struct etcd *etcd,
			      char **words)
{
	unsigned usual_s = args.wait ? EMPTY_S : OBEY_S;
	struct net_text address = parse_server(words[2]);
	const struct pooldrain order = {
		.pool = &pool,
		.etcd = etcd,
		.members = members,
		.address = address.text,
		.stop = args.stop,
		.wait = args.wait,
		.deadline_ns =
			clock_now_ns() +
			NS_PER_S * (args.timeout_s ? args.timeout_s : usual_s),
	};

	return pooldrain_run(&order);
}

/* --- rebalance --- */

static enum exit_status rebalance(struct members *members, struct etcd *etcd,
				  char **words)
{
	struct poolplan plan = { .n = 0 };
	enum exit_status status;
	struct error why;

	(void)etcd;
	(void)words;
	if (members_step(members, clock_now_ns() + LOOK_NS, &why)) {
		fprintf(stderr, "rswapctl pool: %s\n", why.text);
		return EXIT_NO_ANSWER;
	}
	if (poolplan_make(&plan, members)) {
		fprintf(stderr, "rswapctl pool: out of memory\n");
		free(plan.servers);
		return EXIT_FAILED;
	}
	if (args.json)
		poolprint_plan_json(&pool, &plan);
	else
		poolprint_plan_table(&pool, &plan);
	status = plan.n ? EXIT_OK : EXIT_NOTHING;
	free(plan.servers);
	return status;
}

/* --- reserve --- */

static enum exit_status reserve(struct members *members, struct etcd *etcd,
				char **words)
{
	struct poolreserve_view view = { .n_clients = 0 };
	struct error why;
	int rc = poolreserve_set(etcd, &pool, &orders, &why);

	(void)words;
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

/* --- all --- */

static const struct verb {
	const char *name;
	int words; /* with its name */
	enum exit_status (*run)(struct members *members, struct etcd *etcd,
				char **words);
} verbs[] = { { "status", 2, status },
	      { "drain", 3, drain },
	      { "rebalance", 2, rebalance },
	      { "reserve", 2, reserve } };

static const struct verb *parse(int argc, char **argv)
{
	int n = options_parse(&cmdline, argc, argv);

	for (size_t i = 0; n && i < sizeof verbs / sizeof verbs[0]; i++) {
		if (strcmp(argv[0], verbs[i].name) || n != verbs[i].words)
			continue;
		parse_url(argv[1]);
		check_options(argv[0]);
		return &verbs[i];
	}
	options_die(&cmdline, "allowed is: %s (see --help)", cmdline.args);
}

int cmd_pool(int argc, char **argv)
{
	const struct verb *verb = parse(argc, argv);
	enum exit_status status;
	struct members members;
	struct etcd *etcd;
	struct error why;

	if (verb->run == rebalance && !args.dry_run) {
		fprintf(stderr, "rswapctl pool: front ends rebalance by "
				"themselves: allowed is rebalance --dry-run, "
				"which shows what they would move\n");
		return EXIT_NOTHING;
	}
	if (etcd_open(&etcd, &pool.etcd, &why)) {
		fprintf(stderr, "rswapctl pool: %s\n", why.text);
		return EXIT_FAILED;
	}
	members_open(&members, etcd, &pool);
	status = verb->run(&members, etcd, argv);
	members_close(&members);
	etcd_close(etcd);
	return status;
}
