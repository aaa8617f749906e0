/* The places that a device has for servers of its pool (servers-max).  Where
 * all are taken, another server in the pool helps nothing: a server keeps its
 * place for as long as it holds a slab of the device.  So what is to be done
 * about a lack of room is another thing there. */
#ifndef RSWAPCTL_PLACES_H
#define RSWAPCTL_PLACES_H

#include "finding.h"

struct json_object;

/* What to do about CODE where all places are taken, by a plugin's status
 * ANSWER.  NULL: as the table of findings has it. */
const char *places_action(struct json_object *answer, enum finding_code code);

#endif
