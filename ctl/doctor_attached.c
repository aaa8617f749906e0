/* doctor: the devices that are attached. */
#include "doctor.h"

#include <stdio.h>

#include "survey.h"
#include "targets.h"

static void tell(void *arg, enum health health, const char *what,
		 const char *remedy)
{
	doctor_tell(health == HEALTH_BAD ? FOUND_FAIL : FOUND_WARN, arg, remedy,
		    "%s", what);
}

bool doctor_attached(void)
{
	static struct target targets[TARGETS_MAX];
	int n = targets_find(NULL, NULL, 0, NULL, targets);
	bool dead = false;

	for (int i = 0; i < n; i++) {
		enum devtrouble trouble;
		struct survey survey;
		char what[48];

		/* a memory server has none */
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
