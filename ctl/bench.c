#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "answer.h"
#include "clock.h"
#include "cmd.h"
#include "loadview.h"
#include "options.h"
#include "run.h"
#include "statedir.h"
#include "trial.h"

/* Reads and writes, one at a time and many. */
#define RUNS 4

static struct {
	unsigned seconds;
	uint64_t size_bytes;
	bool json;
} args = { .seconds = 60, .size_bytes = UINT64_C(64) << 20 };

static const struct option_spec options[] = {
	{ .name = "seconds",
	  .metavar = "SECONDS",
	  .kind = OPTION_NUMBER,
	  .help = "how long all of it takes",
	  .preset = "60",
	  .min = RUNS,
	  .max = 3600,
	  .out.number = &args.seconds },
	{ .name = "size",
	  .metavar = "SIZE",
	  .kind = OPTION_SIZE,
	  .help = "size of the temporary device",
	  .preset = "64M",
	  .min = 1 << 20,
	  .max = UINT64_C(64) << 30,
	  .out.bytes = &args.size_bytes },
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print the figures as a JSON object",
	  .out.flag = &args.json },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl bench",
	.args = "NAME|SERVER... [KEY=VALUE]...",
	.about = "Measure reads and writes of pages, one at a time and 32 at a "
		 "time, on a temporary device beside the attached one NAME, "
		 "with the same servers and the same keys; or on one like "
		 "that of rswapctl try.  What is swapped out is not touched.",
	.options = options,
};

/* As the attached device has it. */
static void take_attached(struct trial_order *order, const char *name)
{
	struct state state;
	struct error why;

	if (statedir_load(name, &state, &why) < 0)
		options_die(&cmdline, "%s: %s", name, why.text);
	if (!statedir_running(&state))
		options_die(&cmdline,
			    "%s: %s does not run; allowed is the NAME of a "
			    "device that is attached (rswapctl status)",
			    name, state.front->program);
	if (trial_take_front(order, state.pid, &why) < 0)
		options_die(&cmdline, "%s: %s", name, why.text);
}

static bool is_attached(const char *word)
{
	return statedir_name_ok(word) &&
	       access(statedir_path(word, "").text, F_OK) == 0;
}

static void take_words(struct trial_order *order, char **words, int n)
{
	if (n == 1 && is_attached(words[0])) {
		take_attached(order, words[0]);
		return;
	}
	for (int i = 0; i < n; i++)
		trial_take_word(&cmdline, order, words[i]);
	if (!order->n_servers)
		options_die(&cmdline,
			    "a NAME or SERVER is missing; allowed is the NAME "
			    "of an attached device, or HOST[:PORT], one or "
			    "more");
}

static void print_json(struct json_object *status, struct json_object *runs)
{
	struct json_object *all = json_object_new_object();

	json_object_object_add(all, "status", json_object_get(status));
	json_object_object_add(all, "runs", json_object_get(runs));
	answer_print(all);
	json_object_put(all);
}

static int bench(const struct trial_order *order, struct trial *trial,
		 struct error *why)
{
	uint64_t ns = args.seconds * NS_PER_S / RUNS;
	struct json_object *runs = args.json ? json_object_new_array() : NULL;
	struct json_object *status = trial_status(trial, why);
	int err = status ? 0 : -1;

	if (status && !args.json)
		loadview_print_setup(status);
	if (!err)
		err = loadview_measure(trial->nbd, order->size_bytes, ns, runs,
				       why);
	if (!err && args.json)
		print_json(status, runs);
	answer_put(status);
	json_object_put(runs);
	return err;
}

int cmd_bench(int argc, char **argv)
{
	struct trial_order order = { .n_servers = 0 };
	int words = options_parse(&cmdline, argc, argv);
	struct trial trial;
	struct error why;
	int err;

	order.size_bytes = args.size_bytes;
	take_words(&order, argv, words);
	run_catch_signals();
	err = trial_begin(&order, &trial, &why);
	if (!err) {
		err = bench(&order, &trial, &why);
		trial_end(&trial);
	}
	if (err)
		fprintf(stderr, "rswapctl bench: %s\n", why.text);
	return err ? EXIT_FAILED : EXIT_OK;
}
