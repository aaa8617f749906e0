/* Simulates a pool: how evenly servers fill up, what moves and what is lost, by
 * rswap's own choice of servers (plugin/servers/choose.c) and by other rules.
 *
 *   poolsim [--seed=N] [--servers=N] [--zones=N] [--clients=N] [--copies=N]
 *           [--percent=N]
 *
 * Writes lines of "RULE FIGURE VALUE", and "RULE at BYTES SPREAD" while the
 * pool fills up and clients come and go.  bench/poolsim/run makes a table and a
 * plot of them. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rules.h"

/* Bursts between two reports of all servers, for each server: a burst is 256
 * MiB of each copy, so with two copies a server gets half a GiB in three
 * seconds. */
#define BURSTS_A_REPORT 1

/* How often a part of the clients ends and others come, and which part. */
#define ROUNDS 20
#define PARTS  10

/* Servers whose spread is less are evenly full. */
#define EVEN_PERCENT 5

/* Reports after each time in which all clients grow: five minutes. */
#define RESTS 100

/* Slabs that a client moves between two reports: 128 MiB a second. */
#define MOVES_A_REPORT 6

/* Servers that join at the end. */
#define JOINING	      10
#define JOINING_SLABS 8192 /* 512 GiB */

static struct {
	uint32_t seed, servers, zones, clients, copies, percent, servers_max;
	uint32_t rule; /* 0: all */
} settings = { .seed = 1,
	       .servers = 1000,
	       .zones = 40,
	       .clients = 10000,
	       .copies = 2,
	       .percent = 70,
	       .servers_max = 16 };

static const struct {
	const char *name;
	sim_rule *rule;
} rules[] = {
	{ "rswap", rule_rswap },
	{ "random", rule_random },
	{ "most-free", rule_most_free },
	{ "single", rule_single },
};

/* A rule at work. */
struct run {
	struct sim *sim;
	const char *name;
	sim_rule *rule;
	uint32_t *growing; /* clients that want more */
	uint32_t n_growing;
	uint64_t since_report; /* bursts */
	uint64_t reports;
	bool rebalances;
	uint64_t moved; /* slabs, by rebalancing */
};

static void tell(const struct run *run, const char *figure, double value)
{
	printf("%s %s %g\n", run->name, figure, value);
	fflush(stdout);
}

static double gib(uint64_t slabs)
{
	return (double)slabs * SIM_SLAB_BYTES / (1 << 30);
}

static uint64_t used(const struct sim *sim)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < sim->n_servers; i++)
		n += sim->servers[i].used;
	return n;
}

/* All clients, between two reports. */
static void rebalance(struct run *run)
{
	struct sim *sim = run->sim;

	for (uint32_t i = 0; i < sim->n_clients; i++)
		run->moved +=
			rule_rebalance(sim, &sim->clients[i], MOVES_A_REPORT);
}

static void report(struct run *run)
{
	run->since_report = 0;
	sim_report(run->sim);
	if (run->rebalances)
		rebalance(run);
	if (run->reports++ % 4 == 0)
		printf("%s at %llu %g\n", run->name,
		       (unsigned long long)run->reports, sim_spread(run->sim));
}

static uint64_t bursts_a_report(const struct run *run)
{
	return (uint64_t)run->sim->n_servers * BURSTS_A_REPORT;
}

static void begin_growing(struct run *run, uint32_t client)
{
	run->growing[run->n_growing++] = client;
}

/* One client at random gets more, until none wants more. */
static void grow(struct run *run, uint64_t bursts)
{
	for (; run->n_growing > 0 && bursts > 0; bursts--) {
		uint32_t i = sim_below(run->sim, run->n_growing);

		if (!sim_burst(run->sim, run->growing[i], run->rule))
			run->growing[i] = run->growing[--run->n_growing];
		if (++run->since_report >= bursts_a_report(run))
			report(run);
	}
}

/* Nobody gets more for some minutes.  Returns how many of these it takes until
 * servers are evenly full, or INFINITY. */
static double rest(struct run *run)
{
	double minutes = INFINITY;

	for (uint32_t i = 0; i < RESTS; i++) {
		if (isinf(minutes) && sim_spread(run->sim) < EVEN_PERCENT)
			minutes = i * (double)SIM_REPORT_NS / NS_PER_S / 60;
		report(run);
	}
	return minutes;
}

static void fill_up(struct run *run)
{
	for (uint32_t i = 0; i < run->sim->n_clients; i++)
		begin_growing(run, i);
	grow(run, UINT64_MAX);
	rest(run);
	tell(run, "spread-full", sim_spread(run->sim));
}

/* A part of the clients end, and others come, who want as much in all. */
static void end_part(struct run *run, uint32_t part)
{
	for (uint32_t i = part; i < run->sim->n_clients; i += PARTS) {
		sim_replace(run->sim, i);
		begin_growing(run, i);
	}
	sim_scale(run->sim, settings.percent);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of each round: the median, as a figure may be INFINITY, and the worst. */
static void tell_rounds(const struct run *run, const char *figure,
			double values[ROUNDS])
{
	char name[64];

	qsort(values, ROUNDS, sizeof *values, compare);
	tell(run, figure, values[ROUNDS / 2]);
	snprintf(name, sizeof name, "%s-worst", figure);
	tell(run, name, values[ROUNDS - 1]);
}

static void come_and_go(struct run *run)
{
	double after[ROUNDS], minutes[ROUNDS], later[ROUNDS];
	uint64_t came = 0;

	run->moved = 0;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint64_t before;

		end_part(run, sim_below(run->sim, PARTS));
		before = used(run->sim);
		grow(run, UINT64_MAX);
		came += used(run->sim) - before;
		after[i] = sim_spread(run->sim);
		minutes[i] = rest(run);
		later[i] = sim_spread(run->sim);
	}
	tell_rounds(run, "spread-burst", after);
	tell_rounds(run, "even-minutes", minutes);
	tell_rounds(run, "spread-later", later);
	tell(run, "moved-percent", 100.0 * (double)run->moved / (double)came);
}

static void count_fragments(const struct run *run)
{
	const struct sim *sim = run->sim;
	uint64_t sum = 0;
	uint32_t most = 0;

	for (uint32_t i = 0; i < sim->n_clients; i++) {
		uint32_t n = sim_fragments(sim, &sim->clients[i]);

		sum += n;
		most = n > most ? n : most;
	}
	tell(run, "fragments", (double)sum / sim->n_clients);
	tell(run, "fragments-most", most);
}

static void count_zones(const struct run *run)
{
	uint64_t sum = 0, most = 0;

	for (uint32_t zone = 1; zone <= run->sim->n_zones; zone++) {
		uint64_t n = sim_lost_with_zone(run->sim, zone);

		sum += n;
		most = n > most ? n : most;
	}
	tell(run, "zone-lost-gib", gib(sum) / run->sim->n_zones);
	tell(run, "zone-lost-most-gib", gib(most));
}

static uint64_t used_by(const struct sim *sim, uint32_t first)
{
	uint64_t n = 0;

	for (uint32_t i = first; i < sim->n_servers; i++)
		n += sim->servers[i].used;
	return n;
}

/* Servers come, and a part of the clients.  Tells which part of the new slabs
 * the servers get before they report again, and their part of all free memory.
 */
static void join(struct run *run)
{
	struct sim *sim = run->sim;
	uint32_t first = sim->n_servers;
	uint64_t before, total = 0, joined = 0, moved;

	for (uint32_t i = 0; i < JOINING; i++) {
		sim_join(sim, JOINING_SLABS, 1 + i % sim->n_zones);
		joined += JOINING_SLABS;
	}
	moved = run->moved; /* in the rounds before */
	report(run);
	end_part(run, 0);
	before = used(sim);
	for (uint32_t i = 0; i < sim->n_servers; i++)
		total += sim->servers[i].total;
	grow(run, bursts_a_report(run) - 1);
	tell(run, "join-free-percent",
	     100.0 * (double)joined / (double)(total - before));
	tell(run, "join-got-percent",
	     100.0 * (double)used_by(sim, first) /
		     (double)(used(sim) - before));
	grow(run, UINT64_MAX);
	rest(run);
	tell(run, "join-moved-gib",
	     (gib(run->moved - moved) - gib(moved) / ROUNDS) / JOINING);
	tell(run, "join-fill-percent",
	     100.0 * (double)used_by(sim, first) / (double)joined);
}

/* A server of 128 GiB, the same one by each rule. */
static void lose(struct run *run)
{
	struct sim *sim = run->sim;
	uint32_t server = 0;
	uint64_t lost, moved;

	while (server + 1 < settings.servers &&
	       sim->servers[server].total != 2048)
		server++;
	moved = sim_lose(sim, server, run->rule, &lost);
	tell(run, "loss-moved-gib", gib(moved));
	tell(run, "loss-lost-gib", gib(lost));
}

static void simulate(struct sim *sim, const char *name, sim_rule *rule)
{
	struct run run = { .sim = sim,
			   .name = name,
			   .rule = rule,
			   .rebalances = rule == rule_rswap };

	sim_create(sim, settings.servers, settings.zones, settings.clients,
		   settings.copies, settings.percent, settings.seed);
	sim->servers_max = settings.servers_max;
	run.growing = malloc(settings.clients * sizeof *run.growing);
	if (!run.growing)
		exit(EXIT_FAILURE);
	fill_up(&run);
	come_and_go(&run);
	count_fragments(&run);
	count_zones(&run);
	join(&run);
	lose(&run);
	tell(&run, "failed-gib", gib(sim->failed));
	tell(&run, "refused", (double)sim->refused);
	free(run.growing);
	sim_destroy(sim);
}

/* --- options --- */

static uint32_t number(const char *name, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long n = strtoul(optarg, &end, 10);

	if (*optarg >= '0' && *optarg <= '9' && !*end && n >= least &&
	    n <= most)
		return (uint32_t)n;
	fprintf(stderr, "poolsim: --%s=%s: a number from %u to %u\n", name,
		optarg, least, most);
	exit(2);
}

static const struct option options[] = {
	{ "seed", required_argument, NULL, 0 },
	{ "servers", required_argument, NULL, 1 },
	{ "zones", required_argument, NULL, 2 },
	{ "clients", required_argument, NULL, 3 },
	{ "copies", required_argument, NULL, 4 },
	{ "percent", required_argument, NULL, 5 },
	{ "servers-max", required_argument, NULL, 6 },
	{ "rule", required_argument, NULL, 7 },
	{ 0 },
};

static const struct {
	uint32_t *value, least, most;
} limits[] = {
	{ &settings.seed, 0, UINT32_MAX },
	{ &settings.servers, 1, SIM_SERVERS_MAX - JOINING },
	{ &settings.zones, 1, 1000 },
	{ &settings.clients, PARTS, 1000000 },
	{ &settings.copies, 1, SIM_COPIES_MAX },
	{ &settings.percent, 1, 95 },
	{ &settings.servers_max, 1, SIM_KNOWN_MAX },
	{ &settings.rule, 0, sizeof rules / sizeof *rules },
};

int main(int argc, char **argv)
{
	static struct sim sim;
	int i;

	while ((i = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (i == '?')
			return 2;
		*limits[i].value = number(options[i].name, limits[i].least,
					  limits[i].most);
	}
	for (uint32_t k = 0; k < sizeof rules / sizeof *rules; k++) {
		if (!settings.rule || settings.rule == k + 1)
			simulate(&sim, rules[k].name, rules[k].rule);
	}
	return 0;
}
