#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "answer.h"
#include "cells.h"
#include "cmd.h"
#include "options.h"
#include "targets.h"

static struct {
	const char *server;
	bool json;
} args;

static const struct option_spec options[] = {
	{ .name = "server",
	  .metavar = "SOCKET",
	  .kind = OPTION_TEXT,
	  .help = "memory server (default " TARGETS_DEFAULT_SERVER ")",
	  .out.text = &args.server },
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print one JSON object",
	  .out.flag = &args.json },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl events",
	.args = "[NAME|SOCKET]...",
	.about = "Show what changed and when: servers that came and went, "
		 "repair, drains, lost pages.  Of running plugins and the "
		 "memory server of this machine: all, or those named.",
	.options = options,
};

/* The local time of a "time" of an event, which is UTC. */
static struct word local_time(const char *utc)
{
	struct tm tm = { 0 };
	struct word w = { "-" };
	time_t when;

	if (!strptime(utc, "%Y-%m-%dT%H:%M:%S", &tm))
		return w;
	when = timegm(&tm);
	if (localtime_r(&when, &tm))
		strftime(w.text, sizeof w.text, "%F %T", &tm);
	return w;
}

/* "server recovering" */
static struct cell kind_words(struct json_object *event)
{
	struct cell kind = cell_text(event, "event");

	for (char *c = kind.text; *c; c++) {
		if (*c == '_')
			*c = ' ';
	}
	return kind;
}

static void print_event(struct json_object *event, const char *name)
{
	uint64_t times = answer_number(event, "times");

	printf("%s  %-10s  %-20s  ",
	       local_time(cell_text(event, "time").text).text, name,
	       kind_words(event).text);
	if (answer_at(event, "subject"))
		printf("%s: ", cell_text(event, "subject").text);
	fputs(cell_text(event, "text").text, stdout);
	if (times > 1)
		printf(" (%ju times since %s)", (uintmax_t)times,
		       local_time(cell_text(event, "first_time").text).text);
	putchar('\n');
}

/* Adds to ALL, for --json, what TARGET answered, or WHY it did not. */
static void add(struct json_object *all, const struct target *target,
		struct json_object *answer, const struct error *why)
{
	static const char *const members[] = { "events", "forgotten" };
	struct json_object *t = json_object_new_object();

	json_object_object_add(t, "name", json_object_new_string(target->name));
	json_object_object_add(t, "socket",
			       json_object_new_string(target->socket));
	if (!answer)
		json_object_object_add(t, "error",
				       json_object_new_string(why->text));
	for (size_t i = 0; answer && i < 2; i++)
		json_object_object_add(
			t, members[i],
			json_object_get(answer_at(answer, members[i])));
	json_object_array_add(all, t);
}

static enum exit_status show(const struct target *target,
			     struct json_object *all)
{
	struct error why = { "" };
	struct json_object *answer = answer_ask(target->socket, "events", &why);

	if (args.json)
		add(all, target, answer, &why);
	if (!answer) {
		fprintf(stderr, "rswapctl events: %s does not answer: %s\n",
			target->name, why.text);
		return EXIT_NO_ANSWER;
	}
	for (size_t i = 0; !args.json && i < answer_count(answer, "events");
	     i++)
		print_event(
			answer_at(answer, answer_path("events.%zu", i).text),
			target->name);
	answer_put(answer);
	return EXIT_OK;
}

int cmd_events(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&cmdline, argc, argv);
	int n = targets_find(&cmdline, argv, words, args.server, targets);
	struct json_object *document = json_object_new_object();
	struct json_object *all = json_object_new_array();
	enum exit_status status = n ? EXIT_OK : EXIT_NOTHING;

	json_object_object_add(document, "targets", all);
	for (int i = 0; i < n; i++) {
		enum exit_status now = show(&targets[i], all);

		status = now ? now : status;
	}
	if (args.json)
		answer_print(document);
	json_object_put(document);
	if (n == 0)
		fprintf(stderr, "rswapctl events: nothing is running\n");
	return status;
}
