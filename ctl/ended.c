#include "ended.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>

#include "execroom.h"

#define MIB (1024 * 1024)

/* Whether execve had no memory for the program: a cause of SIGSEGV before its
 * first instruction. */
static bool has_no_room(const struct front *front, struct error *why)
{
	struct execroom room;
	struct front_path path;

	if (!front_find(front, &path) || !execroom_read(path.text, &room) ||
	    execroom_fits(&room))
		return false;
	error_set(why,
		  "the kernel can't give it %" PRIu64
		  " MiB of static buffers, it has %" PRIu64 " MiB of %s: %s",
		  (room.needs_bytes + MIB - 1) / MIB, room.has_bytes / MIB,
		  room.limit, room.remedy);
	return true;
}

static const char *cause_of(const struct front *front, int sig,
			    struct error *cause)
{
	switch (sig) {
	case SIGSEGV:
		if (!has_no_room(front, cause))
			error_set(cause, "a fault in %s", front->what);
		return cause->text;
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

static void explain_signal(const struct front *front, int sig,
			   struct error *why)
{
	const char *name = sigabbrev_np(sig);
	struct error text;
	const char *cause = cause_of(front, sig, &text);

	error_set(why, "%s was ended by signal %d (%s%s)%s%.200s",
		  front->program, sig, name ? "SIG" : "", name ? name : "?",
		  cause ? ": " : "", cause ? cause : "");
}

void ended_explain(const struct front *front, int status, struct error *why)
{
	if (status == ENDED_UNKNOWN)
		error_set(why, "%s has ended", front->program);
	else if (WIFSIGNALED(status))
		explain_signal(front, WTERMSIG(status), why);
	else if (WEXITSTATUS(status))
		error_set(why, "%s ended with exit status %d: see its messages",
			  front->program, WEXITSTATUS(status));
	else
		error_set(why,
			  "%s ended with exit status 0: it was asked to end",
			  front->program);
}
