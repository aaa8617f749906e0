/* Faults of a running plugin or memory server: one table of checks on the keys
 * of its status. `rswapctl check` prints all findings. `status` uses the checks
 * that show whether it serves. */
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

/* The health of a plugin or memory server by its status ANSWER. TELL (or NULL)
 * gets a line for each fault.  A key that is missing is no fault: a plugin and
 * a memory server have different keys, and so have older versions. */
enum health health_check(const char *answer,
			 void (*tell)(void *arg, const char *what), void *arg);

/* No page is lost and every server is up and answers. */
bool health_serves(const char *answer);

/* The state of server I by its plugin's status; or "silent": up, but without an
 * answer on its control connection for a while.  Static, valid until the next
 * call. */
const char *health_server_state(const char *answer, int i);

#endif
