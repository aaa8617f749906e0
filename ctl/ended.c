#include "ended.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "execroom.h"
#include "run.h"

#define MIB (1024 * 1024)

/* Whether execve had no memory for nbdkit: a cause of SIGSEGV before nbdkit's
 * first instruction. */
static bool has_no_room(struct error *why)
{
	struct execroom room;
	char path[256];

	if (!run_find("nbdkit", path, sizeof path) ||
	    !execroom_read(path, &room) || execroom_fits(&room))
		return false;
	error_set(why,
		  "the kernel can't give it %" PRIu64
		  " MiB of static buffers, it has %" PRIu64 " MiB of %s: %s",
		  (room.needs_bytes + MIB - 1) / MIB, room.has_bytes / MIB,
		  room.limit, room.remedy);
	return true;
}

static const char *cause_of(int sig, struct error *room)
{
	switch (sig) {
	case SIGSEGV:
		return has_no_room(room) ? room->text
					 : "a fault in nbdkit or the plugin";
	case SIGABRT:
		return "a failed assertion, which its last lines tell";
	case SIGKILL:
		return "by hand, by the OOM killer or for a limit of its "
		       "control group (see dmesg)";
	case SIGSYS:
		return "a filter forbids a system call (seccomp, "
		       "SystemCallFilter=)";
	case SIGXCPU:
		return "a limit of processor time (LimitCPU=, LimitRTTIME=)";
	default:
		return NULL;
	}
}

static void explain_signal(int sig, struct error *why)
{
	const char *name = sigabbrev_np(sig);
	struct error room;
	const char *cause = cause_of(sig, &room);

	error_set(why, "nbdkit was ended by signal %d (%s%s)%s%.200s", sig,
		  name ? "SIG" : "", name ? name : "?", cause ? ": " : "",
		  cause ? cause : "");
}

void ended_explain(int status, struct error *why)
{
	if (status == ENDED_UNKNOWN)
		error_set(why, "nbdkit has ended");
	else if (WIFSIGNALED(status))
		explain_signal(WTERMSIG(status), why);
	else if (WEXITSTATUS(status))
		error_set(why,
			  "nbdkit ended with exit status %d: see its messages",
			  WEXITSTATUS(status));
	else
		error_set(why, "nbdkit ended with exit status 0: it was asked "
			       "to end");
}
