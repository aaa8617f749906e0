#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "concurrency.h"
#include "kernel.h"
#include "queues.h"
#include "size.h"

/* The kernel's limit of devices (UBLK_MINORS). */
#define ID_MAX ((1u << 20) - 1)

#define DEPTH_DEFAULT 64
#define DEPTH_MAX     1024

#define TEXT(macro)  TEXT_(macro)
#define TEXT_(value) #value

#define QUEUES_MAX 64

/* So many processors have a queue together: the thread of a queue serves many
 * requests, and the programs that send them need processors as well.  No more
 * queues than QUEUES_AUTO_MAX, as they share the lanes. */
#define PROCESSORS_PER_QUEUE 4
#define QUEUES_AUTO_MAX	     4

static const char *pidfile;
static unsigned depth, queues;
static uint32_t id, delete_id;

static bool parse_id(const char *value, uint32_t *number)
{
	uint64_t n;

	if (!number_parse(value, 0, ID_MAX, &n))
		return false;
	*number = (uint32_t)n;
	return true;
}

static bool take_id(const char *value, struct error *why)
{
	if (!strcmp(value, "auto")) {
		id = UBLK_ANY_ID;
		return true;
	}
	error_set(why, "auto or a number from 0 to %u", ID_MAX);
	return parse_id(value, &id);
}

static bool take_queues(const char *value, struct error *why)
{
	uint64_t n;

	error_set(why, "auto or a number from 1 to %u", QUEUES_MAX);
	queues = 0;
	if (!strcmp(value, "auto"))
		return true;
	if (!number_parse(value, 1, QUEUES_MAX, &n))
		return false;
	queues = (unsigned)n;
	return true;
}

/* A queue with one lane would leave no lane for reads while it writes. */
static unsigned max_queues(uint32_t lanes)
{
	unsigned n = lanes / QUEUES_LANES_MIN;

	return n < 1 ? 1 : n > QUEUES_MAX ? QUEUES_MAX : n;
}

static unsigned default_queues(uint32_t lanes)
{
	unsigned n = concurrency_processors() / PROCESSORS_PER_QUEUE;
	unsigned most = max_queues(lanes);

	if (most > QUEUES_AUTO_MAX)
		most = QUEUES_AUTO_MAX;
	return n < 1 ? 1 : n > most ? most : n;
}

/* After the keys, which tell the lanes. */
static bool fit_queues(struct options *options, uint32_t lanes,
		       struct cmdline_error *why)
{
	options->queues = (uint16_t)(queues ? queues : default_queues(lanes));
	if (options->queues <= max_queues(lanes))
		return true;
	snprintf(why->text, sizeof why->text,
		 "--queues=%u: with lanes=%" PRIu32 " at most %u, because a "
		 "queue needs %u lanes",
		 queues, lanes, max_queues(lanes), QUEUES_LANES_MIN);
	return false;
}

static bool take_delete(const char *value, struct error *why)
{
	error_set(why, "a number from 0 to %u", ID_MAX);
	return parse_id(value, &delete_id);
}

static const struct option_spec specs[] = {
	{ .name = "id",
	  .metavar = "auto|N",
	  .kind = OPTION_OTHER,
	  .help = "the device is /dev/ublkbN; auto: the first free N",
	  .preset = "auto",
	  .out.take = take_id },
	{ .name = "queues",
	  .metavar = "auto|N",
	  .kind = OPTION_OTHER,
	  .help = "queues of the device, each with a thread; auto: one for "
		  "four processors",
	  .preset = "auto",
	  .out.take = take_queues },
	{ .name = "depth",
	  .metavar = "N",
	  .kind = OPTION_NUMBER,
	  .min = 1,
	  .max = DEPTH_MAX,
	  .preset = TEXT(DEPTH_DEFAULT),
	  .help = "requests that each queue takes from the kernel at a time",
	  .out.number = &depth },
	{ .name = "pidfile",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "write the process id there once the device is there",
	  .out.text = &pidfile },
	{ .name = "delete",
	  .metavar = "N",
	  .kind = OPTION_OTHER,
	  .help = "only delete what a killed process left of /dev/ublkbN",
	  .out.take = take_delete },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswap-ublk",
	.args = "[--id=N] [server=]HOST[:PORT] size=SIZE [KEY=VALUE...]",
	.about = "Serves a block device whose pages live in the memory of "
		 "other machines, by the kernel's ublk driver.",
	.options = specs,
	.has_version = true,
};

void options_help(void)
{
	config_fill_help();
	cmdline_help(&cmdline);
	printf("\nKeys:\n%s\n", config_help);
}

enum cmdline_verdict options_parse(int argc, char **argv,
				   struct options *options,
				   struct config *config,
				   struct cmdline_error *why)
{
	enum cmdline_verdict verdict;
	int n_words;

	pidfile = NULL;
	queues = 0;
	id = delete_id = UBLK_ANY_ID;
	depth = DEPTH_DEFAULT;
	verdict = cmdline_parse(&cmdline, argc, argv, &n_words, why);
	if (verdict != CMDLINE_RUN)
		return verdict;
	*options = (struct options){
		.id = id,
		.depth = (uint16_t)depth,
		.pidfile = pidfile,
	};
	if (delete_id != UBLK_ANY_ID) {
		options->delete = true;
		options->id = delete_id;
		if (n_words == 0)
			return CMDLINE_RUN;
		snprintf(why->text, sizeof why->text,
			 "%s: --delete=N goes without keys", argv[0]);
		return CMDLINE_WRONG;
	}
	if (!config_words(config, n_words, argv)) {
		snprintf(why->text, sizeof why->text, "%s", config->why);
		return CMDLINE_WRONG;
	}
	return fit_queues(options, config->engine.lanes, why) ? CMDLINE_RUN
							      : CMDLINE_WRONG;
}
