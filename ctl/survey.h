/* One look at a target: what its plugin or memory server tells, and how its
 * device is. */
#ifndef RSWAPCTL_SURVEY_H
#define RSWAPCTL_SURVEY_H

#include "devstate.h"
#include "targets.h"

struct survey {
	const struct target *target;
	const char *answer; /* as target_ask gives it; NULL: see WHY */
	struct error why;
	/* Only where TARGET has a state. */
	struct devstate device;
	struct devanswer told;
};

void survey_target(const struct target *target, struct survey *survey);

/* What is wrong with the device; NONE where there is none. */
enum devtrouble survey_judge(const struct survey *survey, devstate_tell *tell,
			     void *arg);

#endif
