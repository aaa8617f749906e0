#include <inttypes.h>
#include <libnbd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "answer.h"
#include "clock.h"
#include "cmd.h"
#include "load.h"
#include "members.h"
#include "options.h"
#include "run.h"
#include "trial.h"
#include "words.h"

/* One page is in use; a server grants whole slabs anyway. */
#define SIZE_BYTES (UINT64_C(1) << 20)
/* A server that is silent for longer is told of, and not waited for. */
#define TIMEOUT_S    5
#define TEXT(macro)  TEXT_(macro)
#define TEXT_(value) #value

/* How long etcd has to list the servers of a pool. */
#define LIST_NS (10 * NS_PER_S)

static struct {
	unsigned count, interval_ms;
	const char *transport, *psk_file, *identity;
	const char *pool; /* in the place of a server */
	bool json, quiet;
} args = { .count = 10, .interval_ms = 100 };

/* Its files are those of the options. */
static struct pool pool;

static const struct option_spec options[] = {
	{ .name = "count",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .help = "how many reads",
	  .preset = "10",
	  .min = 1,
	  .max = 1000000,
	  .out.number = &args.count },
	{ .name = "interval",
	  .metavar = "MILLISECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "pause between two reads",
	  .preset = "100",
	  .min = 0,
	  .max = 60000,
	  .out.number = &args.interval_ms },
	{ .name = "transport",
	  .metavar = "auto|rdma|tcp",
	  .kind = OPTION_CHOICE,
	  .choices = "auto|rdma|tcp",
	  .help = "how pages travel",
	  .preset = "auto",
	  .out.text = &args.transport },
	{ .name = "psk-file",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "connect by TLS, with a key of this file",
	  .out.text = &args.psk_file },
	{ .name = "identity",
	  .metavar = "NAME",
	  .kind = OPTION_TEXT,
	  .help = "which key of the file (default: the only one)",
	  .out.text = &args.identity },
	{ .name = "pool",
	  .metavar = "etcd://HOST.../NAME",
	  .kind = OPTION_TEXT,
	  .help = "each serving memory server of this pool, in a table",
	  .out.text = &args.pool },
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
	{ .name = "quiet",
	  .kind = OPTION_FLAG,
	  .help = "print the figures only",
	  .out.flag = &args.quiet },
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print the figures as a JSON object",
	  .out.flag = &args.json },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl ping",
	.args = "SERVER|--pool=URL",
	.about = "Read a page of the memory server SERVER (HOST[:PORT]), or of "
		 "each one of a pool, again and again, as a swap device does, "
		 "and tell how long it takes.",
	.options = options,
};

struct pings {
	struct load_times times;
	unsigned asked, failed;
	uint64_t began_ns;
};

/* The page has to be there: one that was never written is read without the
 * server. */
static int write_page(struct nbd_handle *nbd, struct error *why)
{
	static char page[LOAD_PAGE_BYTES];

	memset(page, 0x5a, sizeof page);
	if (nbd_pwrite(nbd, page, sizeof page, 0, 0) == 0)
		return 0;
	error_set(why, "the page can't be written: %s", nbd_get_error());
	return -1;
}

/* --- what is told --- */

/* "rdma, mlx5_0 port 1, GID ::ffff:10.0.0.2 (3), MTU 4096" */
static void print_path(struct json_object *status)
{
	char transport[16] = "", device[64], gid[64];

	answer_text(status, "servers.0.transport", transport, sizeof transport);
	printf("%s", transport);
	if (!answer_text(status, "servers.0.path.device", device,
			 sizeof device))
		return;
	printf(", %s port %" PRIu64, device,
	       answer_number(status, "servers.0.path.port"));
	if (answer_text(status, "servers.0.path.gid", gid, sizeof gid))
		printf(", GID %s (%" PRIu64 ")", gid,
		       answer_number(status, "servers.0.path.gid_index"));
	printf(", MTU %" PRIu64,
	       answer_number(status, "servers.0.path.mtu_bytes"));
}

static void print_begin(const char *server, struct json_object *status)
{
	if (args.json || args.pool)
		return;
	printf("PING %s (", server);
	print_path(status);
	printf("): pages of %u bytes\n", LOAD_PAGE_BYTES);
}

/* ERROR: NULL, or why there is no page. */
static void print_one(const char *server, const struct pings *p,
		      uint64_t took_ns, const char *error)
{
	if (args.json || args.pool || (args.quiet && !error))
		return;
	if (error)
		printf("no page from %s: seq=%u: %s\n", server, p->asked,
		       error);
	else
		printf("%u bytes from %s: seq=%u time=%s\n", LOAD_PAGE_BYTES,
		       server, p->asked,
		       words_latency((double)took_ns / 1e3).text);
}

static void print_lane(struct json_object *status)
{
	uint64_t n = answer_number(status, "servers.0.read_latency.count");

	if (n)
		printf("of these over the lane alone, the last %" PRIu64
		       ": p50/p99 = %s/%s\n",
		       n,
		       words_latency(
			       answer_real(status,
					   "servers.0.read_latency.p50_us"))
			       .text,
		       words_latency(
			       answer_real(status,
					   "servers.0.read_latency.p99_us"))
			       .text);
}

static void print_end(const char *server, const struct pings *p,
		      struct json_object *status)
{
	const struct load_times *t = &p->times;

	printf("\n--- %s ping statistics ---\n"
	       "%u pages asked for, %u received, %u %% lost, time %s\n",
	       server, p->asked, p->asked - p->failed,
	       p->asked ? 100 * p->failed / p->asked : 0,
	       words_latency((double)(clock_now_ns() - p->began_ns) / 1e3)
		       .text);
	if (!t->kept)
		return;
	printf("min/p50/p99/max = %s/%s/%s/%s\n",
	       words_latency(load_times_us(t, 0)).text,
	       words_latency(load_times_us(t, 500)).text,
	       words_latency(load_times_us(t, 990)).text,
	       words_latency(load_times_us(t, 1000)).text);
	print_lane(status);
}

static void add_real(struct json_object *to, const char *key, double value)
{
	json_object_object_add(to, key, json_object_new_double(value));
}

static void add_copy(struct json_object *to, const char *key,
		     struct json_object *status, const char *path)
{
	struct json_object *value = answer_at(status, path);

	if (value)
		json_object_object_add(to, key, json_object_get(value));
}

static struct json_object *json_of(const char *server, const struct pings *p,
				   struct json_object *status)
{
	struct json_object *all = json_object_new_object();

	json_object_object_add(all, "server", json_object_new_string(server));
	add_copy(all, "transport", status, "servers.0.transport");
	add_copy(all, "path", status, "servers.0.path");
	json_object_object_add(all, "asked", json_object_new_uint64(p->asked));
	json_object_object_add(all, "received",
			       json_object_new_uint64(p->asked - p->failed));
	if (p->times.kept) {
		add_real(all, "min_us", load_times_us(&p->times, 0));
		add_real(all, "p50_us", load_times_us(&p->times, 500));
		add_real(all, "p99_us", load_times_us(&p->times, 990));
		add_real(all, "max_us", load_times_us(&p->times, 1000));
		add_copy(all, "lane", status, "servers.0.read_latency");
	}
	return all;
}

static void print_json(struct json_object *all)
{
	answer_print(all);
	json_object_put(all);
}

/* --- the servers of a pool --- */

#define ROW_FORMAT "%-24s %-10s %-9s %10s %9s %9s %9s %9s\n"

/* In JSON: the rows so far. */
static struct json_object *rows;

static void print_head(void)
{
	if (!args.json)
		printf(ROW_FORMAT, "SERVER", "ZONE", "TRANSPORT", "RECEIVED",
		       "MIN", "P50", "P99", "MAX");
}

static const char *time_of(const struct pings *p, unsigned permille,
			   struct word *word)
{
	*word = words_latency(load_times_us(&p->times, permille));
	return p->times.kept ? word->text : "-";
}

static void print_row(const char *server, const char *zone,
		      const struct pings *p, struct json_object *status)
{
	char transport[16] = "-", received[32];
	struct word min, p50, p99, max;

	if (args.json) {
		json_object_array_add(rows, json_of(server, p, status));
		return;
	}
	answer_text(status, "servers.0.transport", transport, sizeof transport);
	snprintf(received, sizeof received, "%u/%u", p->asked - p->failed,
		 p->asked);
	printf(ROW_FORMAT, server, *zone ? zone : "-", transport, received,
	       time_of(p, 0, &min), time_of(p, 500, &p50),
	       time_of(p, 990, &p99), time_of(p, 1000, &max));
	fflush(stdout);
}

/* A server that gave no page at all. */
static void print_failed_row(const char *server, const char *zone,
			     const struct error *why)
{
	struct json_object *row;

	if (!args.json) {
		printf("%-24s %-10s %s\n", server, *zone ? zone : "-",
		       why->text);
		fflush(stdout);
		return;
	}
	row = json_object_new_object();
	json_object_object_add(row, "server", json_object_new_string(server));
	json_object_object_add(row, "error", json_object_new_string(why->text));
	json_object_array_add(rows, row);
}

/* --- reading --- */

static void ping_all(const char *server, struct nbd_handle *nbd,
		     struct pings *p)
{
	static char page[LOAD_PAGE_BYTES];

	p->began_ns = clock_now_ns();
	while (p->asked < args.count && !run_interrupted()) {
		uint64_t began_ns = clock_now_ns(), took_ns;
		bool ok = nbd_pread(nbd, page, sizeof page, 0, 0) == 0;

		took_ns = clock_now_ns() - began_ns;
		if (!ok && run_interrupted())
			return;
		p->asked++;
		if (ok)
			load_times_add(&p->times, took_ns);
		else
			p->failed++;
		print_one(server, p, took_ns,
			  ok ? NULL : strerror(nbd_get_errno()));
		if (p->asked < args.count)
			run_pause(args.interval_ms);
	}
}

/* ZONE: of a server of a pool, else NULL. */
static enum exit_status ping(const char *server, const char *zone,
			     struct trial *trial, struct error *why)
{
	struct pings p = { .asked = 0 };
	struct json_object *status;

	if (load_times_create(&p.times) < 0) {
		error_set(why, "out of memory");
		return EXIT_FAILED;
	}
	status = trial_status(trial, why);
	if (!status || write_page(trial->nbd, why) < 0) {
		answer_put(status);
		load_times_free(&p.times);
		return EXIT_FAILED;
	}
	print_begin(server, status);
	ping_all(server, trial->nbd, &p);
	answer_put(status);
	load_times_sort(&p.times);
	status = trial_status(trial, why);
	if (zone)
		print_row(server, zone, &p, status);
	else if (args.json)
		print_json(json_of(server, &p, status));
	else
		print_end(server, &p, status);
	answer_put(status);
	load_times_free(&p.times);
	*why = (struct error){ "" };
	return p.failed || !p.asked ? EXIT_FAILED : EXIT_OK;
}

static enum exit_status ping_one(struct trial_order *order, char *server,
				 const char *zone, struct error *why)
{
	enum exit_status status = EXIT_FAILED;
	struct trial trial;

	order->servers[0] = server;
	order->n_servers = 1;
	if (trial_begin(order, &trial, why) == 0) {
		status = ping(server, zone, &trial, why);
		trial_end(&trial);
	}
	return status;
}

static void ping_members(struct trial_order *order,
			 const struct members *members,
			 enum exit_status *status)
{
	*status = EXIT_NOTHING;
	for (unsigned i = 0; i < members->n && !run_interrupted(); i++) {
		const struct members_entry *e = &members->entries[i];
		struct net_text address = e->address;
		struct error why = { "" };
		enum exit_status one;

		if (!e->is_understood || strcmp(e->member.state, "serving"))
			continue;
		one = ping_one(order, address.text, e->member.zone, &why);
		if (*why.text && !run_interrupted())
			print_failed_row(address.text, e->member.zone, &why);
		if (one != EXIT_OK || *status == EXIT_NOTHING)
			*status = one;
	}
}

static enum exit_status list(struct members *members, struct error *why)
{
	struct etcd *etcd;
	int rc = etcd_open(&etcd, &pool.etcd, why);

	if (rc)
		return EXIT_FAILED;
	members_open(members, etcd, &pool);
	rc = members_step(members, clock_now_ns() + LIST_NS, why);
	etcd_view_close(&members->view);
	etcd_close(etcd);
	return rc ? EXIT_NO_ANSWER : EXIT_OK;
}

static enum exit_status ping_pool(struct trial_order *order)
{
	struct members members = { .n = 0 };
	struct error why;
	enum exit_status status = list(&members, &why);

	if (status != EXIT_OK) {
		fprintf(stderr, "rswapctl ping: --pool=%s: %s\n", args.pool,
			why.text);
		free(members.entries);
		return status;
	}
	rows = json_object_new_array();
	print_head();
	ping_members(order, &members, &status);
	if (args.json)
		print_json(json_object_get(rows));
	json_object_put(rows);
	if (status == EXIT_NOTHING)
		fprintf(stderr,
			"rswapctl ping: --pool=%s: none of its %u servers is "
			"serving\n",
			args.pool, members.n);
	free(members.entries);
	return status;
}

static void check_words(struct trial_order *order, char **words, int n)
{
	struct error why;

	if (args.pool && n)
		options_die(&cmdline,
			    "%s: allowed is one of SERVER and --pool=URL",
			    words[0]);
	if (args.pool && !pool_set_url(&pool, args.pool))
		options_die(&cmdline, "--pool=%s is not allowed: it must be %s",
			    args.pool, POOL_URL_ALLOWED);
	if (!pool_check_files(&pool, "--", &why))
		options_die(&cmdline, "%s", why.text);
	if (args.pool)
		return;
	if (n != 1 || strchr(words[0], '='))
		options_die(&cmdline,
			    "%s: allowed is one SERVER, as HOST[:PORT]",
			    n ? words[n - 1] : "a SERVER is missing");
	trial_take_word(&cmdline, order, words[0]);
}

int cmd_ping(int argc, char **argv)
{
	struct trial_order order = { .size_bytes = SIZE_BYTES };
	int words = options_parse(&cmdline, argc, argv);
	enum exit_status status;
	struct error why = { "" };

	check_words(&order, argv, words);
	order.keys[KEY_TRANSPORT] = args.transport;
	order.keys[KEY_PSK_FILE] = args.psk_file;
	order.keys[KEY_IDENTITY] = args.identity;
	order.keys[KEY_TIMEOUT] = TEXT(TIMEOUT_S);
	/* the page as it is: sealing would be measured too */
	order.keys[KEY_ENCRYPT] = order.keys[KEY_CHECKSUM] = "off";
	order.keys[KEY_LANES] = "1";
	run_catch_signals();
	if (args.pool)
		return ping_pool(&order);
	status = ping_one(&order, argv[0], NULL, &why);
	if (status == EXIT_FAILED && *why.text)
		fprintf(stderr, "rswapctl ping: %s: %s\n", argv[0], why.text);
	return status;
}
