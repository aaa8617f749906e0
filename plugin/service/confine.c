#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In linux/landlock.h since Linux 6.2. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif

/* All that changes a file or a directory. */
#define CHANGES                                                                \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |       \
	 LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |       \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |           \
	 LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |         \
	 LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)

/* The versions of the kernel's interface that have TRUNCATE, and REFER, which
 * is a move to another directory. */
#define ABI_REFER    2
#define ABI_TRUNCATE 3

/* Negative: there is none. */
static long kernels_abi(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		       LANDLOCK_CREATE_RULESET_VERSION);
}

static uint64_t all_changes(long abi)
{
	uint64_t changes = CHANGES;

	if (abi >= ABI_REFER)
		changes |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= ABI_TRUNCATE)
		changes |= LANDLOCK_ACCESS_FS_TRUNCATE;
	return changes;
}

static int allow(int rules, const char *directory, uint64_t changes)
{
	struct landlock_path_beneath_attr below = { .allowed_access = changes };
	int rc = 0;

	below.parent_fd = open(directory, O_PATH | O_CLOEXEC);
	if (below.parent_fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		    &below, 0))
		rc = -errno;
	close(below.parent_fd);
	return rc;
}

static int allow_beside(int rules, const char *path, uint64_t changes)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];

	if (!slash)
		return allow(rules, ".", changes);
	if ((size_t)(slash - path) >= sizeof directory)
		return -ENAMETOOLONG;
	memcpy(directory, path, (size_t)(slash - path) + 1);
	directory[slash - path + (slash == path)] = '\0';
	return allow(rules, directory, changes);
}

static int apply(int rules, const char *const *paths, unsigned n,
		 uint64_t changes)
{
	int rc = allow(rules, "/dev", changes);

	for (unsigned i = 0; i < n && !rc; i++) {
		if (paths[i])
			rc = allow_beside(rules, paths[i], changes);
	}
	if (!rc && syscall(SYS_landlock_restrict_self, rules, 0))
		rc = -errno;
	return rc;
}

int confine_files(const char *const *paths, unsigned n)
{
	struct landlock_ruleset_attr attr = { 0 };
	long abi = kernels_abi();
	int rules, rc;

	if (abi < 0)
		return -errno;
	attr.handled_access_fs = all_changes(abi) | LANDLOCK_ACCESS_FS_EXECUTE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr,
			     0);
	if (rules < 0)
		return -errno;
	rc = apply(rules, paths, n, all_changes(abi));
	close(rules);
	return rc;
}
