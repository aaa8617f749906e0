/* What is beside a swap device on its machine and goes wrong with it: other
 * swap, what stands on the device, and lines in files of /etc.  docs/tiers.md
 * tells which combinations are good. */
#ifndef RSWAPCTL_BESIDE_H
#define RSWAPCTL_BESIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "finding.h"

struct beside {
	/* "/dev/nbd0"; "": none is attached, so this is about the one that
	 * attach would make */
	const char *device;
	int priority;
	bool sealed;	/* its pages are */
	uint64_t start; /* of its front end (run_start_time); 0: none */
};

/* TELL gets each finding. */
void beside_judge(const struct beside *beside, finding_tell *tell, void *arg);

/* The same of the machine as a whole, once for all devices. */
void beside_judge_machine(finding_tell *tell, void *arg);

#endif
