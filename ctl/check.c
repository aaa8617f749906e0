#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "answer.h"
#include "cmd.h"
#include "findingjson.h"
#include "health.h"
#include "lastlook.h"
#include "options.h"
#include "places.h"
#include "survey.h"
#include "targets.h"

static struct {
	bool json, peek;
} args;

static const struct option_spec options[] = {
	{ .name = "json",
	  .kind = OPTION_FLAG,
	  .help = "print one JSON object",
	  .out.flag = &args.json },
	{ .name = "peek",
	  .kind = OPTION_FLAG,
	  .help = "leave failed requests for the next check to tell again",
	  .out.flag = &args.peek },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl check",
	.args = "[NAME|SOCKET]...",
	.about = "Look at running plugins, and at the memory server of this "
		 "machine: all, or those named; print a line for each thing "
		 "that is wrong, and nothing where all is well.  "
		 "rswap-findings(7) explains each by its code, which stands in "
		 "brackets.  "
		 "Requests that failed are told once: since the last check.  "
		 "Exit status: 0 all is well, 1 degraded, 2 pages are lost, "
		 "reads failed or something isn't running, 5 swap is on at a "
		 "device that no plugin serves.",
	.options = options,
};

/* The findings of one target. */
struct findings {
	const char *name; /* NULL: of none */
	struct json_object *all;
	enum health health;
	bool dead; /* swap that no plugin serves */
};

static void add_json(const struct findings *f, const struct finding *finding)
{
	struct json_object *object = findingjson(finding);

	if (f->name)
		json_object_object_add(object, "name",
				       json_object_new_string(f->name));
	json_object_array_add(f->all, object);
}

static void tell(void *arg, const struct finding *finding)
{
	const char *action = finding_action(finding);
	struct findings *f = arg;

	if (finding_health(finding->code) > f->health)
		f->health = finding_health(finding->code);
	if (args.json) {
		add_json(f, finding);
		return;
	}
	printf("%s%s%s [%s]%s%s\n", f->name ? f->name : "", f->name ? ": " : "",
	       finding->what, finding_name(finding), action ? "  -> " : "",
	       action ? action : "");
}

/* ACTION: NULL: as the table of findings has it. */
static void found(struct findings *f, enum finding_code code,
		  const struct error *what, const char *action)
{
	tell(f, &(struct finding){ code, what->text, action, false });
}

/* A failure is told once.  Afterwards only the programs that have ended show
 * it. */
static void check_failures(struct findings *f, struct json_object *answer)
{
	struct lastlook look;
	struct error what;

	lastlook_compare(f->name, answer, &look);
	if (look.failed_reads) {
		error_set(&what,
			  "%" PRIu64 " reads have failed %s%s: a program that "
			  "needs such a page gets SIGBUS",
			  look.failed_reads, look.since, look.when);
		found(f, FINDING_READS_FAILED, &what, NULL);
	}
	if (look.failed_writes) {
		error_set(&what,
			  "%" PRIu64 " writes have failed %s%s: these pages "
			  "stay in memory",
			  look.failed_writes, look.since, look.when);
		found(f, FINDING_WRITES_FAILED, &what,
		      places_action(answer, FINDING_WRITES_FAILED));
	}
	if (!args.peek && lastlook_keep(f->name, answer, &what))
		fprintf(stderr,
			"rswapctl check: failures will be told again: %s\n",
			what.text);
}

/* If the front end is gone, survey_judge tells more about the device. */
static void check_silence(struct findings *f, const struct survey *survey)
{
	struct error what;

	f->health = HEALTH_BAD;
	if (!survey->target->state) {
		error_set(&what, "not running: %.230s", survey->why.text);
		found(f, FINDING_NOT_RUNNING, &what, NULL);
	} else if (survey->device.front_runs) {
		error_set(&what, "does not answer: %.230s", survey->why.text);
		found(f, FINDING_NO_ANSWER, &what, NULL);
	}
}

static void check(const struct target *target, struct findings *f)
{
	struct survey survey;

	survey_target(target, &survey);
	if (!survey.answer) {
		check_silence(f, &survey);
	} else {
		health_check(survey.answer, tell, f);
		if (answer_is(survey.answer, "role", "plugin"))
			check_failures(f, survey.answer);
	}
	f->dead = survey_judge(&survey, tell, f) == DEVTROUBLE_DEAD;
}

static enum exit_status exit_of(enum health worst)
{
	switch (worst) {
	case HEALTH_GOOD:
		return EXIT_OK;
	case HEALTH_DEGRADED:
		return EXIT_DEGRADED;
	case HEALTH_BAD:
		break;
	}
	return EXIT_BAD;
}

static void print_json(struct json_object *all, const struct target *targets,
		       int n, enum health worst)
{
	struct json_object *document = json_object_new_object();
	struct json_object *names = json_object_new_array();

	for (int i = 0; i < n; i++)
		json_object_array_add(names,
				      json_object_new_string(targets[i].name));
	json_object_object_add(document, "health",
			       json_object_new_string(health_name(worst)));
	json_object_object_add(document, "targets", names);
	json_object_object_add(document, "findings", all);
	answer_print(document);
	json_object_put(document);
}

int cmd_check(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&cmdline, argc, argv);
	int n = targets_find(&cmdline, argv, words, NULL, targets);
	struct findings all = { .all = json_object_new_array() };

	if (n == 0)
		found(&all, FINDING_NOTHING_RUNS,
		      &(struct error){ "nothing is running" }, NULL);
	for (int i = 0; i < n; i++) {
		struct findings f = { .name = targets[i].name, .all = all.all };

		check(&targets[i], &f);
		all.dead = all.dead || f.dead;
		if (f.health > all.health)
			all.health = f.health;
	}
	if (args.json)
		print_json(all.all, targets, n, all.health);
	else
		json_object_put(all.all);
	return all.dead ? EXIT_DEAD_SWAP : exit_of(all.health);
}
