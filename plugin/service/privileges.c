#include "privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "log.h"
#include "safety.h"

/* Whether the limit is at least WANTED. */
static bool raise_limit(int resource, rlim_t wanted)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return false;
	/* RLIM_INFINITY is the largest value. */
	if (limit.rlim_cur >= wanted)
		return true;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted)
		limit.rlim_max = wanted;
	return setrlimit(resource, &limit) == 0;
}

static void keep_if_held(unsigned capability, bool held)
{
	if (held)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
			     capability);
}

void privileges_give_up(void)
{
	bool nice = capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_NICE);
	bool lock = capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK);
	int rc;

	/* Threads change their priority between requests.  New mappings are
	 * locked, and the network card's memory counts as locked. */
	nice = !raise_limit(RLIMIT_RTPRIO, SAFETY_PRIORITY) && nice;
	lock = !raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY) && lock;
	capng_clear(CAPNG_SELECT_CAPS);
	keep_if_held(CAP_SYS_NICE, nice);
	keep_if_held(CAP_IPC_LOCK, lock);
	rc = capng_apply(CAPNG_SELECT_CAPS);
	if (rc)
		log_error("cannot give up capabilities (%d): this process "
			  "serves with those that it was started with",
			  rc);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_error("prctl: %s", strerror(errno));
}
