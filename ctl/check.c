#include <stdio.h>

#include "cmd.h"
#include "health.h"
#include "options.h"
#include "swapinfo.h"
#include "targets.h"

static const struct option_spec options[] = {
	{ .name = NULL },
};

static const struct usage usage = {
	.synopsis = "check [NAME|SOCKET]...",
	.about = "Look at running plugins, and at the memory server of this "
		 "machine: all, or those\nnamed; print a line for each thing "
		 "that is wrong, and nothing where all is well.\n"
		 "Exit status: 0 all is well, 1 degraded, 2 pages are lost or "
		 "something isn't running.",
	.options = options,
};

static void tell(void *name, const char *what)
{
	printf("%s: %s\n", (const char *)name, what);
}

static enum health check_swap(const struct target *target)
{
	struct swap_usage swap;

	if (!target->device || !swapinfo_read(target->device, &swap) ||
	    swap.active)
		return HEALTH_GOOD;
	printf("%s: nothing swaps to %s\n", target->name, target->device);
	return HEALTH_DEGRADED;
}

static enum health check(const struct target *target)
{
	enum health health, swap;
	struct reason why;
	const char *answer = target_ask(target, &why);

	if (!answer) {
		printf("%s: not running: %s\n", target->name, why.text);
		return HEALTH_BAD;
	}
	health = health_check(answer, tell, (void *)target->name);
	swap = check_swap(target);
	return swap > health ? swap : health;
}

int cmd_check(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	int words = options_parse(&usage, argc, argv);
	int n = targets_find(&usage, argv, words, NULL, targets);
	enum health worst = n ? HEALTH_GOOD : HEALTH_BAD;

	if (n == 0)
		printf("nothing is running\n");
	for (int i = 0; i < n; i++) {
		enum health health = check(&targets[i]);

		if (health > worst)
			worst = health;
	}
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
