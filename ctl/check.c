#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "ctlsock.h"
#include "health.h"
#include "lastlook.h"
#include "options.h"
#include "survey.h"
#include "targets.h"

static const struct option_spec options[] = {
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl check",
	.args = "[NAME|SOCKET]...",
	.about = "Look at running plugins, and at the memory server of this "
		 "machine: all, or those named; print a line for each thing "
		 "that is wrong, and nothing where all is well.  "
		 "Requests that failed are told once: since the last check.  "
		 "Exit status: 0 all is well, 1 degraded, 2 pages are lost, "
		 "reads failed or something isn't running, 5 swap is on at a "
		 "device that no plugin serves.",
	.options = options,
};

/* The faults of one target. */
struct findings {
	const char *name;
	enum health health;
	bool dead; /* swap that no plugin serves */
};

static void find(struct findings *f, enum health health, const char *what,
		 const char *remedy)
{
	printf("%s: %s%s%s\n", f->name, what, remedy ? "  -> " : "",
	       remedy ? remedy : "");
	if (health > f->health)
		f->health = health;
}

static void tell(void *arg, const char *what)
{
	find(arg, HEALTH_GOOD, what, NULL); /* health_check tells the worst */
}

static void tell_device(void *arg, enum health health, const char *what,
			const char *remedy)
{
	find(arg, health, what, remedy);
}

/* A failure is told once.  Afterwards only the programs that have ended show
 * it. */
static void check_failures(struct findings *f, const char *answer)
{
	struct lastlook look;
	struct error what;

	lastlook_compare(f->name, answer, &look);
	if (look.failed_reads) {
		error_set(&what,
			  "%" PRIu64 " reads have failed %s%s: a program that "
			  "needs such a page gets SIGBUS",
			  look.failed_reads, look.since, look.when);
		find(f, HEALTH_BAD, what.text, NULL);
	}
	if (look.failed_writes) {
		error_set(&what,
			  "%" PRIu64 " writes have failed %s%s: these pages "
			  "stay in memory",
			  look.failed_writes, look.since, look.when);
		find(f, HEALTH_DEGRADED, what.text, NULL);
	}
	if (lastlook_keep(f->name, answer, &what))
		fprintf(stderr,
			"rswapctl check: failures will be told again: %s\n",
			what.text);
}

static bool is_plugin(const char *answer)
{
	char role[16];

	return ctlsock_value(answer, "role", role, sizeof role) &&
	       !strcmp(role, "plugin");
}

/* If nbdkit is gone, survey_judge tells more about the device. */
static void check_silence(struct findings *f, const struct survey *survey)
{
	struct error what;

	f->health = HEALTH_BAD;
	if (!survey->target->state)
		error_set(&what, "not running: %.230s", survey->why.text);
	else if (survey->device.nbdkit_runs)
		error_set(&what, "does not answer: %.230s", survey->why.text);
	else
		return;
	find(f, HEALTH_BAD, what.text, NULL);
}

static void check(const struct target *target, struct findings *f)
{
	enum health health;
	struct survey survey;

	survey_target(target, &survey);
	if (!survey.answer) {
		check_silence(f, &survey);
	} else {
		health = health_check(survey.answer, tell, f);
		if (health > f->health)
			f->health = health;
		if (is_plugin(survey.answer))
			check_failures(f, survey.answer);
	}
	f->dead = survey_judge(&survey, tell_device, f) == DEVTROUBLE_DEAD;
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

int cmd_check(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&cmdline, argc, argv);
	int n = targets_find(&cmdline, argv, words, NULL, targets);
	enum health worst = n ? HEALTH_GOOD : HEALTH_BAD;
	bool dead = false;

	if (n == 0)
		printf("nothing is running\n");
	for (int i = 0; i < n; i++) {
		struct findings f = { .name = targets[i].name };

		check(&targets[i], &f);
		dead = dead || f.dead;
		if (f.health > worst)
			worst = f.health;
	}
	return dead ? EXIT_DEAD_SWAP : exit_of(worst);
}
