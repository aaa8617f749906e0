/* What is wrong with a running plugin or memory server: one table of checks on
 * the keys of its status.  `rswapctl check` tells all that they find, `status`
 * minds those that tell whether it serves. */
#ifndef RSWAPCTL_HEALTH_H
#define RSWAPCTL_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

/* In a plugin's status, release_slabs of a server that asks for all. */
#define HEALTH_ALL_SLABS UINT32_MAX

enum health {
	HEALTH_GOOD,
	HEALTH_DEGRADED, /* it serves, and less could make it fail */
	HEALTH_BAD,	 /* pages are lost */
};

/* How a plugin or memory server is by its status ANSWER.  TELL (or NULL) gets
 * each line that says what is wrong.  A key that isn't there is not looked at:
 * the other of the two has it, or a newer version. */
enum health health_check(const char *answer,
			 void (*tell)(void *arg, const char *what), void *arg);

/* No page is lost and every server is up and answers. */
bool health_serves(const char *answer);

/* The state of server I as its plugin tells it, or "silent": up, and without an
 * answer on its control connection for a while.  Static, until the next call.
 */
const char *health_server_state(const char *answer, int i);

#endif
