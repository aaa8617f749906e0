#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "cells.h"
#include "clock.h"
#include "cmd.h"
#include "options.h"
#include "print.h"
#include "targets.h"

#define LOOK_NS (NS_PER_S / 5)

static struct {
	uint64_t bytes_per_s;
	bool stop, wait;
} args = { .bytes_per_s = UINT64_C(64) << 20 };

static const struct option_spec options[] = {
	{ .name = "rate",
	  .metavar = "SIZE",
	  .kind = OPTION_SIZE,
	  .help = "bytes that are read a second, of all copies together",
	  .preset = "64M",
	  .min = 1 << 20,
	  .max = UINT64_C(1) << 50,
	  .out.bytes = &args.bytes_per_s },
	{ .name = "stop",
	  .kind = OPTION_FLAG,
	  .help = "end the scrub that runs",
	  .out.flag = &args.stop },
	{ .name = "wait",
	  .kind = OPTION_FLAG,
	  .help = "stay until it is done, and show how far it is",
	  .out.flag = &args.wait },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl scrub",
	.args = "[NAME|SOCKET]",
	.about = "Read every copy of every page of a device, and check it.  "
		 "What is wrong is repaired from other copies.  \"rswapctl "
		 "status\" shows how far it is.  Exit status with --wait: 0 "
		 "nothing was wrong, 2 something was wrong, 1 it was stopped, "
		 "or some copies could not be read.",
	.options = options,
};

/* NULL: said why. */
static struct json_object *ask(const struct target *target, const char *command)
{
	struct error why;
	struct json_object *answer = answer_ask(target->socket, command, &why);

	if (!answer)
		fprintf(stderr, "rswapctl scrub: %s: %s\n", target->name,
			why.text);
	return answer;
}

/* Shows how far it is, over the line before on a terminal. */
static void show(struct json_object *status, bool last)
{
	bool terminal = isatty(STDOUT_FILENO);

	if (!terminal && !last)
		return;
	if (terminal)
		fputs("\r\033[K", stdout);
	print_scrub(status);
	if (terminal && !last)
		fputs("\033[A", stdout);
	fflush(stdout);
}

static enum exit_status verdict(struct json_object *status)
{
	if (answer_number(status, "scrub.wrong_pages"))
		return EXIT_BAD;
	return answer_is(status, "scrub.state", "done") &&
			       !answer_number(status, "scrub.unread_pages")
		       ? EXIT_OK
		       : EXIT_FAILED;
}

/* BEFORE: how many scrubs had begun when this one was asked for. */
static enum exit_status wait_for_end(const struct target *target,
				     uint64_t before)
{
	for (;;) {
		struct json_object *status = ask(target, "status");
		enum exit_status result;
		bool over;

		if (!status)
			return EXIT_FAILED;
		over = answer_number(status, "scrub.begun") != before &&
		       !answer_is(status, "scrub.state", "running");
		show(status, over);
		result = verdict(status);
		answer_put(status);
		if (over)
			return result;
		clock_sleep_ns(LOOK_NS);
	}
}

static enum exit_status begin(const struct target *target)
{
	struct json_object *status = ask(target, "status"), *answer;
	uint64_t before = answer_number(status, "scrub.begun");
	bool runs = answer_is(status, "scrub.state", "running");
	char command[48];

	answer_put(status);
	if (!status)
		return EXIT_FAILED;
	snprintf(command, sizeof command, "scrub %" PRIu64, args.bytes_per_s);
	answer = ask(target, command);
	answer_put(answer);
	if (!answer)
		return EXIT_FAILED;
	if (args.wait)
		return wait_for_end(target, before - runs);
	printf("%s: %s\n", target->name,
	       runs ? "a scrub runs already, now at this rate"
		    : "the scrub has begun");
	return EXIT_OK;
}

static enum exit_status stop(const struct target *target)
{
	struct json_object *answer = ask(target, "scrub stop");

	answer_put(answer);
	if (!answer)
		return EXIT_FAILED;
	printf("%s: no scrub runs any more\n", target->name);
	return EXIT_OK;
}

int cmd_scrub(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&cmdline, argc, argv), n;

	if (args.stop && args.wait)
		options_die(&cmdline, "--stop and --wait: allowed is one of "
				      "them");
	/* Not the memory server, which is the last one without words. */
	n = targets_find(&cmdline, argv, words, NULL, targets);
	if (n > 0 && !words &&
	    !strcmp(targets[n - 1].socket, TARGETS_DEFAULT_SERVER))
		n--;
	if (n == 0)
		options_die(&cmdline, "nothing is attached");
	if (n > 1)
		options_die(&cmdline,
			    "%d devices: allowed is the name of one (rswapctl "
			    "status)",
			    n);
	return args.stop ? stop(&targets[0]) : begin(&targets[0]);
}
