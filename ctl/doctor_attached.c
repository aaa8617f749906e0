/* doctor: the devices that are attached. */
#include "doctor.h"

#include <stdio.h>

#include "attach.h"
#include "survey.h"
#include "swapinfo.h"
#include "targets.h"

static void tell(void *arg, enum health health, const char *what,
		 const char *remedy)
{
	doctor_tell(health == HEALTH_BAD ? FOUND_FAIL : FOUND_WARN, arg, remedy,
		    "%s", what);
}

static void tell_priority(const char *device, int priority)
{
	struct swap_names others;

	if (swapinfo_shares_priority(device, priority, &others))
		doctor_tell(FOUND_WARN, "swap priority",
			    "attach with another --priority, higher to fill "
			    "remote memory first",
			    "%s has priority %d, as %s: pages go to both in "
			    "turn",
			    others.text, priority,
			    *device ? device : "rswapctl attach gives");
}

/* The priority of each device; if none is attached, the one that attach would
 * give. */
static void check_priorities(const struct target *targets, int n)
{
	bool any = false;

	for (int i = 0; i < n; i++) {
		struct swap_usage swap;

		if (!targets[i].state ||
		    !swapinfo_read(targets[i].state->device, &swap) ||
		    !swap.active)
			continue;
		any = true;
		tell_priority(targets[i].state->device, swap.priority);
	}
	if (!any)
		tell_priority("", ATTACH_PRIORITY);
}

bool doctor_attached(void)
{
	static struct target targets[TARGETS_MAX];
	int n = targets_find(NULL, NULL, 0, NULL, targets);
	bool dead = false;

	check_priorities(targets, n);
	for (int i = 0; i < n; i++) {
		enum devtrouble trouble;
		struct survey survey;
		char what[48];

		/* a memory server has no device */
		if (!targets[i].state)
			continue;
		snprintf(what, sizeof what, "attached %s", targets[i].name);
		survey_target(&targets[i], &survey);
		trouble = survey_judge(&survey, tell, what);
		if (trouble == DEVTROUBLE_NONE)
			doctor_tell(FOUND_OK, what, NULL, "%s",
				    targets[i].state->device);
		dead = dead || trouble == DEVTROUBLE_DEAD;
	}
	return dead;
}
