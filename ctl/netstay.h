/* Whether the network towards memory servers stays up until swap is not needed
 * any more, when the machine goes down.  Swap stays on then, and a manager of
 * the network that takes addresses away before the last program has ended
 * leaves reads of swap without an answer (docs/boot-and-shutdown.md). */
#ifndef RSWAPCTL_NETSTAY_H
#define RSWAPCTL_NETSTAY_H

#include "finding.h"

struct json_object;

/* STATUS is a plugin's answer to "status", and names its servers; NULL: none.
 * TELL gets a finding for each interface. */
void netstay_judge(struct json_object *status, finding_tell *tell, void *arg);

#endif
