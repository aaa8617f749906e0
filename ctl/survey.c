#include "survey.h"

static struct json_object *ask(void *arg)
{
	struct survey *survey = arg;

	survey->answer = target_ask(survey->target, &survey->why);
	return survey->answer;
}

void survey_target(const struct target *target, struct survey *survey)
{
	*survey = (struct survey){ .target = target };
	if (target->state)
		devstate_read(target->state, &survey->device);
	ask(survey);
	if (!target->state)
		return;
	survey->told =
		devstate_ask(&survey->device, survey->answer, ask, survey);
	/* A detach that runs meanwhile ends swap first.  So swap without a
	 * connection is dead only if it is still on afterwards. */
	if (survey_judge(survey, NULL, NULL) == DEVTROUBLE_DEAD)
		devstate_read(target->state, &survey->device);
}

enum devtrouble survey_judge(const struct survey *survey, finding_tell *tell,
			     void *arg)
{
	if (!survey->target->state)
		return DEVTROUBLE_NONE;
	return devstate_judge(&survey->device, &survey->told, tell, arg);
}
