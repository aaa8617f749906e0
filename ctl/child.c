#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

static int set_output(const struct child_spec *spec,
		      posix_spawn_file_actions_t *files)
{
	int rc = posix_spawn_file_actions_adddup2(files, spec->output_fd,
						  STDOUT_FILENO);

	return rc ? rc
		  : posix_spawn_file_actions_adddup2(files, spec->output_fd,
						     STDERR_FILENO);
}

static int set_log(int log_fd, posix_spawn_file_actions_t *files)
{
	int rc = posix_spawn_file_actions_adddup2(files, STDIN_FILENO,
						  STDOUT_FILENO);

	return rc ? rc
		  : posix_spawn_file_actions_adddup2(files, log_fd,
						     STDERR_FILENO);
}

static int set_files(const struct child_spec *spec, int log_fd,
		     posix_spawn_file_actions_t *files)
{
	int rc = posix_spawn_file_actions_addopen(files, STDIN_FILENO,
						  "/dev/null", O_RDWR, 0);

	if (!rc && spec->output_fd >= 0)
		rc = set_output(spec, files);
	if (!rc && log_fd >= 0)
		rc = set_log(log_fd, files);
	if (!rc && spec->daemon)
		rc = posix_spawn_file_actions_addchdir_np(files, "/");
	return rc;
}

static int set_attributes(const struct child_spec *spec,
			  posix_spawnattr_t *attr)
{
	short flags = POSIX_SPAWN_SETSIGDEF;
	sigset_t caught;
	int rc;

	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGHUP);
	if (spec->daemon)
		flags |= POSIX_SPAWN_SETSID;
	rc = posix_spawnattr_setsigdefault(attr, &caught);
	return rc ? rc : posix_spawnattr_setflags(attr, flags);
}

static const char *program_of(const struct child_spec *spec)
{
	return spec->argv[0] + (spec->argv[0][0] == CHILD_SURVIVES);
}

static pid_t start(const struct child_spec *spec, int log_fd, struct error *why)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	pid_t pid = -1;
	int rc;

	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	rc = set_files(spec, log_fd, &files);
	if (!rc)
		rc = set_attributes(spec, &attr);
	/* the prototype is older than const; argv is not changed */
	if (!rc)
		rc = posix_spawnp(&pid, program_of(spec), &files, &attr,
				  (char *const *)spec->argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	if (!rc)
		return pid;
	error_set(why, "%s: %s", program_of(spec),
		  rc == ENOENT ? "not installed" : strerror(rc));
	return -1;
}

/* Opens the log before the program starts: posix_spawn does not tell which step
 * failed. */
pid_t child_start(const struct child_spec *spec, struct error *why)
{
	int log_fd = -1;
	pid_t pid;

	if (spec->log) {
		log_fd = open(spec->log,
			      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (log_fd < 0) {
			error_set(why, "%s: its log %s: %s", program_of(spec),
				  spec->log, strerror(errno));
			return -1;
		}
	}
	pid = start(spec, log_fd, why);
	if (log_fd >= 0)
		close(log_fd);
	return pid;
}
