#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "clock.h"
#include "cmd.h"
#include "loadview.h"
#include "options.h"
#include "pool.h"
#include "run.h"
#include "selftest.h"
#include "trial.h"
#include "words.h"

#define SIZE_BYTES	   (UINT64_C(16) << 20)
#define SIZE_LARGEST_BYTES (UINT64_C(64) << 30)
/* How long each figure is measured. */
#define FIGURE_NS NS_PER_S

static const char *pool_url;

static const struct option_spec options[] = {
	{ .name = "pool",
	  .metavar = "etcd://HOST.../NAME",
	  .kind = OPTION_TEXT,
	  .help = "memory servers of this pool, in the place of each SERVER",
	  .out.text = &pool_url },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl try",
	.args = "SERVER...|--pool=URL [KEY=VALUE]...",
	.about = "Make a small device of the memory of each SERVER "
		 "(HOST[:PORT]), write to it, compare what is read, measure, "
		 "and remove it again.  It needs no root, and no device of "
		 "the kernel.  Each KEY=VALUE is one of the front end's, as "
		 "rswap-nbd --help lists them; size=16M unless it is given.",
	.options = options,
};

/* The front end gets the key, and chooses servers as it does for swap. */
static void take_pool(struct trial_order *order)
{
	struct pool pool = { .name = "" };

	if (!pool_url)
		return;
	if (!pool_set_url(&pool, pool_url))
		options_die(&cmdline, "--pool=%s is not allowed: it must be %s",
			    pool_url, POOL_URL_ALLOWED);
	if (order->n_servers)
		options_die(&cmdline,
			    "%s: allowed is one of SERVER and --pool=URL",
			    order->servers[0]);
	order->keys[KEY_POOL] = pool_url;
}

static enum exit_status test(const struct trial_order *order,
			     struct trial *trial, struct error *why)
{
	struct json_object *status = trial_status(trial, why);

	if (!status)
		return EXIT_FAILED;
	loadview_print_setup(status);
	answer_put(status);
	if (selftest_run(trial->nbd, order->size_bytes, why) < 0 ||
	    loadview_measure(trial->nbd, order->size_bytes, FIGURE_NS, NULL,
			     why) < 0)
		return EXIT_FAILED;
	return EXIT_OK;
}

int cmd_try(int argc, char **argv)
{
	struct trial_order order = { .size_bytes = SIZE_BYTES };
	int words = options_parse(&cmdline, argc, argv);
	enum exit_status status = EXIT_FAILED;
	struct trial trial;
	struct error why;

	for (int i = 0; i < words; i++)
		trial_take_word(&cmdline, &order, argv[i]);
	take_pool(&order);
	if (!order.n_servers && !order.keys[KEY_POOL])
		options_die(&cmdline, "a SERVER is missing; allowed is "
				      "HOST[:PORT], one or more, or "
				      "--pool=URL");
	if (order.size_bytes > SIZE_LARGEST_BYTES)
		options_die(&cmdline, "size=%s: allowed is a size up to 64G",
			    words_bytes(order.size_bytes).text);
	run_catch_signals();
	if (trial_begin(&order, &trial, &why) == 0) {
		status = test(&order, &trial, &why);
		trial_end(&trial);
	}
	if (status == EXIT_OK)
		printf("all is well, and all is removed again\n");
	else
		fprintf(stderr, "rswapctl try: %s\n", why.text);
	return status;
}
