/* One look at a target: the answer of its plugin or memory server, and the
 * state of its device. */
#ifndef RSWAPCTL_SURVEY_H
#define RSWAPCTL_SURVEY_H

#include "devstate.h"
#include "targets.h"

struct survey {
	const struct target *target;
	struct json_object *answer; /* target_ask's; NULL: see WHY */
	struct error why;
	/* Only where TARGET has a state. */
	struct devstate device;
	struct devanswer told;
};

void survey_target(const struct target *target, struct survey *survey);

/* The trouble of the device; NONE if the target has no device. */
enum devtrouble survey_judge(const struct survey *survey, finding_tell *tell,
			     void *arg);

#endif
