/* doctor: the devices that are attached. */
#include "doctor.h"

#include <stdio.h>

#include "answer.h"
#include "attach.h"
#include "beside.h"
#include "netstay.h"
#include "survey.h"
#include "sysfile.h"
#include "targets.h"

static char beside_what[] = "swap beside it";

/* zswap compresses in front of every swap device. */
static void tell_zswap(void)
{
	char enabled[8];

	if (sysfile_line(enabled, sizeof enabled,
			 "/sys/module/zswap/parameters/enabled") &&
	    *enabled == 'Y')
		doctor_tell(FOUND_OK, "zswap", NULL,
			    "on, in front of all swap");
}

/* What is beside the device, for one that swap is on. */
static bool check_beside(const struct survey *survey)
{
	const struct state *state = survey->target->state;
	const struct swap_usage *swap = &survey->device.swap;
	struct beside beside = {
		.device = state->device,
		.priority = swap->priority,
		.sealed = survey->answer &&
			  !answer_is(survey->answer, "cipher", "none"),
		.start = survey->device.front_runs ? state->start : 0,
	};

	if (!survey->device.swap_known || !swap->active)
		return false;
	beside_judge(&beside, doctor_tell_finding, beside_what);
	return true;
}

static enum devtrouble check_target(const struct target *target, bool *swaps)
{
	enum devtrouble trouble;
	struct survey survey;
	char what[48];

	snprintf(what, sizeof what, "attached %s", target->name);
	survey_target(target, &survey);
	trouble = survey_judge(&survey, doctor_tell_finding, what);
	if (trouble == DEVTROUBLE_NONE)
		doctor_tell(FOUND_OK, what, NULL, "%s", target->state->device);
	if (survey.device.front_runs)
		doctor_group_memory(target->state->pid, what);
	netstay_judge(survey.answer, doctor_tell_finding, what);
	*swaps = check_beside(&survey) || *swaps;
	return trouble;
}

bool doctor_attached(void)
{
	static struct target targets[TARGETS_MAX];
	int n = targets_find(NULL, NULL, 0, NULL, targets);
	bool dead = false, swaps = false;

	for (int i = 0; i < n; i++) {
		/* a memory server has no device */
		if (targets[i].state)
			dead = check_target(&targets[i], &swaps) ==
				       DEVTROUBLE_DEAD ||
			       dead;
	}
	/* if none is attached, as attach would make it */
	if (!swaps)
		beside_judge(&(struct beside){ .device = "",
					       .priority = ATTACH_PRIORITY },
			     doctor_tell_finding, beside_what);
	beside_judge_machine(doctor_tell_finding, beside_what);
	tell_zswap();
	return dead;
}
