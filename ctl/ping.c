#include <inttypes.h>
#include <libnbd.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "answer.h"
#include "clock.h"
#include "cmd.h"
#include "load.h"
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

static struct {
	unsigned count, interval_ms;
	const char *transport, *psk_file, *identity;
	bool json, quiet;
} args = { .count = 10, .interval_ms = 100 };

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
	.args = "SERVER",
	.about = "Read a page of the memory server SERVER (HOST[:PORT]) again "
		 "and again, as a swap device does, and tell how long it "
		 "takes.",
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
	if (args.json)
		return;
	printf("PING %s (", server);
	print_path(status);
	printf("): pages of %u bytes\n", LOAD_PAGE_BYTES);
}

/* ERROR: NULL, or why there is no page. */
static void print_one(const char *server, const struct pings *p,
		      uint64_t took_ns, const char *error)
{
	if (args.json || (args.quiet && !error))
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

static void print_json(const char *server, const struct pings *p,
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
	answer_print(all);
	json_object_put(all);
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

static enum exit_status ping(const char *server, struct trial *trial,
			     struct error *why)
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
	if (args.json)
		print_json(server, &p, status);
	else
		print_end(server, &p, status);
	answer_put(status);
	load_times_free(&p.times);
	*why = (struct error){ "" };
	return p.failed || !p.asked ? EXIT_FAILED : EXIT_OK;
}

int cmd_ping(int argc, char **argv)
{
	struct trial_order order = { .size_bytes = SIZE_BYTES };
	int words = options_parse(&cmdline, argc, argv);
	enum exit_status status = EXIT_FAILED;
	struct error why;
	struct trial trial;

	if (words != 1 || strchr(argv[0], '='))
		options_die(&cmdline,
			    "%s: allowed is one SERVER, as HOST[:PORT]",
			    words ? argv[words - 1] : "a SERVER is missing");
	trial_take_word(&cmdline, &order, argv[0]);
	order.keys[KEY_TRANSPORT] = args.transport;
	order.keys[KEY_PSK_FILE] = args.psk_file;
	order.keys[KEY_IDENTITY] = args.identity;
	order.keys[KEY_TIMEOUT] = TEXT(TIMEOUT_S);
	/* the page as it is: sealing would be measured too */
	order.keys[KEY_ENCRYPT] = order.keys[KEY_CHECKSUM] = "off";
	order.keys[KEY_LANES] = "1";
	run_catch_signals();
	if (trial_begin(&order, &trial, &why) == 0) {
		status = ping(argv[0], &trial, &why);
		trial_end(&trial);
	}
	if (status == EXIT_FAILED && *why.text)
		fprintf(stderr, "rswapctl ping: %s: %s\n", argv[0], why.text);
	return status;
}
