#include "filelimit.h"

#include <inttypes.h>
#include <sys/resource.h>

#include "session/admission.h"

/* Files, event loops, clients of the control socket and of --metrics, RDMA
 * devices, and connections that are being closed. */
#define OTHER_FILES 256
/* Of a data thread: its event loop. */
#define THREAD_FILES 4

static uint64_t fixed_files(const struct config *config)
{
	return OTHER_FILES + (uint64_t)THREAD_FILES * config->threads +
	       2 * ADMISSION_MAX + config->max_sessions;
}

bool filelimit_check(const struct config *config, uint64_t *links,
		     struct error *why)
{
	uint64_t needed = fixed_files(config);
	struct rlimit limit;

	*links = UINT64_MAX;
	if (!config->only || config->only->files)
		needed += (uint64_t)config->max_sessions * FILELIMIT_TCP_LINKS;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return true;
	if (limit.rlim_cur < needed) {
		error_set(why,
			  "--max-sessions=%u: needs %" PRIu64
			  " file descriptors, and %" PRIu64
			  " are allowed: raise the limit with LimitNOFILE= in "
			  "the "
			  "service or ulimit -n, or allow fewer sessions",
			  config->max_sessions, needed,
			  (uint64_t)limit.rlim_cur);
		return false;
	}
	*links = limit.rlim_cur - fixed_files(config);
	return true;
}
