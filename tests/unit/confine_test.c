/* What a front end that is confined can still do with files, in processes of
 * its own. */
#include "service/confine.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Exit status of such a process. */
enum { FINE = 77, NO_LANDLOCK = 78, FAULT = 1 };

static char top[] = "/tmp/confine.XXXXXX";
static char own[64], others[64], old[96];
static int open_before;
static bool truncates; /* the kernel's Landlock knows of it */

static const char *in(const char *directory, const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return path;
}

static bool is_refused(const char *what, bool worked)
{
	if (!worked && errno == EACCES)
		return true;
	printf("%s: %s\n", what, worked ? "worked" : strerror(errno));
	fflush(stdout);
	return false;
}

static bool can_write(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0600);
	bool fine = fd >= 0 && write(fd, "x", 1) == 1;

	if (fd >= 0)
		close(fd);
	return fine;
}

static int try_elsewhere(void)
{
	char *const words[] = { (char *)"true", NULL };
	bool fine = is_refused("writing", can_write(old, 0));

	fine &= is_refused("making", can_write(in(others, "new"), O_CREAT));
	fine &= !truncates || is_refused("truncating", truncate(old, 1) == 0);
	fine &= is_refused("a directory", mkdir(in(others, "dir"), 0700) == 0);
	fine &= is_refused("a link", symlink("x", in(others, "ln")) == 0);
	fine &= is_refused("renaming", rename(old, in(others, "y")) == 0);
	fine &= is_refused("removing", unlink(old) == 0);
	fine &= is_refused("in /dev", can_write("/dev/rswap-test", O_CREAT));
	fine &= is_refused("executing", execv("/bin/true", words) == 0);
	return fine ? FINE : FAULT;
}

static int try_own(void)
{
	char before[128], text[8];
	int fd;

	snprintf(before, sizeof before, "%s", in(own, "new"));
	if (!can_write(before, O_CREAT) || !can_write(before, O_TRUNC) ||
	    rename(before, in(own, "renamed")) || unlink(in(own, "renamed")) ||
	    write(open_before, "y", 1) != 1)
		return FAULT;
	fd = open(old, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, text, sizeof text) >= 1 ? FINE : FAULT;
}

static int (*in_thread)(void);

static void *thread_main(void *arg)
{
	*(int *)arg = in_thread();
	return NULL;
}

static int attempt_confined(int (*attempt)(void), bool in_a_thread)
{
	const char *const paths[] = { NULL, in(own, "socket") };
	int verdict = FAULT, rc;
	struct error why;
	pthread_t thread;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return FAULT;
	truncates = syscall(SYS_landlock_create_ruleset, NULL, 0,
			    LANDLOCK_CREATE_RULESET_VERSION) >= 3;
	rc = confine_files(paths, 2, &why);
	if (rc == -ENOSYS || rc == -EOPNOTSUPP)
		return NO_LANDLOCK;
	if (rc)
		return FAULT;
	if (!in_a_thread)
		return attempt();
	in_thread = attempt;
	if (pthread_create(&thread, NULL, thread_main, &verdict) ||
	    pthread_join(thread, NULL))
		return FAULT;
	return verdict;
}

static void assert_fine(int (*attempt)(void), bool in_a_thread)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(attempt_confined(attempt, in_a_thread));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_LANDLOCK)
		skip();
	assert_int_equal(WEXITSTATUS(status), FINE);
}

static void nothing_is_changed_elsewhere(void **state)
{
	(void)state;
	assert_fine(try_elsewhere, false);
	assert_fine(try_elsewhere, true);
}

static void its_own_directory_is(void **state)
{
	(void)state;
	assert_fine(try_own, false);
	assert_fine(try_own, true);
}

/* Nothing has changed then. */
static void a_directory_that_is_not_there(void **state)
{
	const char *path = "/none/of/these/socket";
	struct error why;
	int rc;

	(void)state;
	rc = confine_files(&path, 1, &why);
	if (rc == -ENOSYS || rc == -EOPNOTSUPP)
		skip();
	assert_int_equal(rc, -ENOENT);
	assert_string_equal(why.text,
			    "/none/of/these: No such file or directory");
	assert_true(can_write(old, 0));
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(top))
		return -1;
	snprintf(own, sizeof own, "%s/own", top);
	snprintf(others, sizeof others, "%s/others", top);
	snprintf(old, sizeof old, "%s/old", others);
	if (mkdir(own, 0700) || mkdir(others, 0700) || !can_write(old, O_CREAT))
		return -1;
	open_before = open(old, O_WRONLY | O_APPEND | O_CLOEXEC);
	return open_before < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	close(open_before);
	return unlink(old) || rmdir(others) || rmdir(own) || rmdir(top) ? -1
									: 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_changed_elsewhere),
		cmocka_unit_test(its_own_directory_is),
		cmocka_unit_test(a_directory_that_is_not_there),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
