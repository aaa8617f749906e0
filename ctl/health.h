/* Faults of a running plugin or memory server: one table of checks on
 * what its status has. `rswapctl check` prints all findings. `status` uses the
 * checks that show whether it serves. */
#ifndef RSWAPCTL_HEALTH_H
#define RSWAPCTL_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "finding.h"

struct json_object;

/* The health of a plugin or memory server by its status ANSWER. TELL (or NULL)
 * gets each finding.  A key that is missing is none: a plugin and
 * a memory server have different keys, and so have older versions. */
enum health health_check(struct json_object *answer, finding_tell *tell,
			 void *arg);

/* No page is lost and every server is up and answers. */
bool health_serves(struct json_object *answer);

/* The state of server I by its plugin's status; or "silent": up, but without an
 * answer on its control connection for a while.  Static, valid until the next
 * call. */
const char *health_server_state(struct json_object *answer, int i);

#endif
