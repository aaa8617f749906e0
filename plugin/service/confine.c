#include "confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* In linux/landlock.h since Linux 5.19 and 6.2. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
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

static int allow(int rules, const char *directory, uint64_t changes,
		 struct error *why)
{
	struct landlock_path_beneath_attr below = { .allowed_access = changes };
	int rc = 0;

	below.parent_fd = open(directory, O_PATH | O_CLOEXEC);
	if (below.parent_fd < 0 ||
	    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH,
		    &below, 0)) {
		rc = -errno;
		error_set(why, "%s: %s", directory, strerror(errno));
	}
	if (below.parent_fd >= 0)
		close(below.parent_fd);
	return rc;
}

static int allow_beside(int rules, const char *path, uint64_t changes,
			struct error *why)
{
	const char *slash = strrchr(path, '/');
	char directory[PATH_MAX];

	if (!slash)
		return allow(rules, ".", changes, why);
	if ((size_t)(slash - path) >= sizeof directory) {
		error_set(why, "%.100s...: too long", path);
		return -ENAMETOOLONG;
	}
	memcpy(directory, path, (size_t)(slash - path) + 1);
	directory[slash - path + (slash == path)] = '\0';
	return allow(rules, directory, changes, why);
}

/* Links open RDMA devices, which may be there only later. */
static int allow_devices(int rules, struct error *why)
{
	const char *devices = "/dev/infiniband";

	return allow(rules, access(devices, F_OK) ? "/dev" : devices,
		     LANDLOCK_ACCESS_FS_WRITE_FILE, why);
}

static int apply(int rules, const char *const *paths, unsigned n,
		 uint64_t changes, struct error *why)
{
	int rc = allow_devices(rules, why);

	for (unsigned i = 0; i < n && !rc; i++) {
		if (paths[i])
			rc = allow_beside(rules, paths[i], changes, why);
	}
	if (!rc && syscall(SYS_landlock_restrict_self, rules, 0)) {
		rc = -errno;
		error_set(why, "Landlock: %s", strerror(errno));
	}
	return rc;
}

int confine_files(const char *const *paths, unsigned n, struct error *why)
{
	struct landlock_ruleset_attr attr = { 0 };
	long abi = kernels_abi();
	int rules = -1, rc;

	if (abi >= 0) {
		attr.handled_access_fs =
			all_changes(abi) | LANDLOCK_ACCESS_FS_EXECUTE;
		rules = (int)syscall(SYS_landlock_create_ruleset, &attr,
				     sizeof attr, 0);
	}
	if (rules < 0) {
		rc = -errno;
		error_set(why, "Landlock: %s", strerror(errno));
		return rc;
	}
	rc = apply(rules, paths, n, all_changes(abi), why);
	close(rules);
	return rc;
}
