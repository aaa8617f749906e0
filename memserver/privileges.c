#include "privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "log.h"
#include "oomscore.h"

/* An errno, or 0. */
static int oom_error;

static bool has(unsigned capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

/* Slabs are locked, and registered with RDMA devices, as they are granted. */
static bool lift_memlock(void)
{
	static const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit now;

	return (getrlimit(RLIMIT_MEMLOCK, &now) == 0 &&
		now.rlim_cur == RLIM_INFINITY) ||
	       setrlimit(RLIMIT_MEMLOCK, &none) == 0;
}

/* False and WHY: the user is not there, or this process cannot become it. */
static bool find_user(const char *name, struct passwd **user, struct error *why)
{
	*user = getpwnam(name);
	if (!*user) {
		error_set(why, "--user=%.100s: not a user of this machine",
			  name);
		return false;
	}
	if ((*user)->pw_uid == geteuid() ||
	    (has(CAP_SETUID) && has(CAP_SETGID)))
		return true;
	error_set(why,
		  "--user=%.100s: only root can become another user, and this "
		  "process is of user %u",
		  name, (unsigned)geteuid());
	return false;
}

/* USER is NULL: stays the user that it is. */
static bool reduce_to(bool lock_memory, const struct passwd *user,
		      struct error *why)
{
	int rc;

	/* A filter of the service manager may refuse capset. */
	capng_get_caps_process();
	if (!user && capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return true;
	capng_clear(CAPNG_SELECT_CAPS);
	if (lock_memory)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
			     CAP_IPC_LOCK);
	rc = user && user->pw_uid != geteuid()
		     ? capng_change_id((int)user->pw_uid, (int)user->pw_gid,
				       CAPNG_INIT_SUPP_GRP)
		     : capng_apply(CAPNG_SELECT_CAPS);
	if (rc == 0)
		return true;
	if (user)
		error_set(why, "--user=%.100s: cannot become that user (%d)",
			  user->pw_name, rc);
	else
		error_set(why, "cannot give up capabilities (%d)", rc);
	return false;
}

bool privileges_drop(const struct config *config, struct error *why)
{
	struct passwd *user = NULL;
	bool lock_memory;

	if (config->user && !find_user(config->user, &user, why))
		return false;
	oom_error = oomscore_never();
	lock_memory = !lift_memlock() && has(CAP_IPC_LOCK);
	if (!reduce_to(lock_memory, user, why))
		return false;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		error_set(why, "prctl: %s", strerror(errno));
		return false;
	}
	return true;
}

void privileges_tell(const struct config *config)
{
	if (oom_error)
		log_notice("cannot set the OOM score to -1000 (%s): the kernel "
			   "may kill this server, and its clients lose their "
			   "pages, when this machine runs out of memory",
			   strerror(oom_error));
	if (geteuid() == 0 && !config->user)
		log_notice("serving as root, without capabilities: --user=NAME "
			   "makes it another user");
}
