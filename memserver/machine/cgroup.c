#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernfile.h"

#define GROUP_PATH_MAX	4096
#define LEVELS_MAX	64
#define LIMITS		2
#define SELF_TEXT_BYTES 8192

/* v1 and v2 name their files differently; the files mean the same. */
struct names {
	const char *limit[LIMITS];
	const char *usage[LIMITS];
	const char *cache; /* in memory.stat: page cache to drop first */
};

static const struct names names_v1 = {
	.limit = { "memory.limit_in_bytes", "memory.memsw.limit_in_bytes" },
	.usage = { "memory.usage_in_bytes", "memory.memsw.usage_in_bytes" },
	.cache = "total_inactive_file",
};

/* Beyond memory.high the kernel kills no process, but every allocation waits
 * for reclaim, and reclaim cannot take locked memory. */
static const struct names names_v2 = {
	.limit = { "memory.max", "memory.high" },
	.usage = { "memory.current", "memory.current" },
	.cache = "inactive_file",
};

struct level {
	char *dir;
	int limit_fd[LIMITS]; /* -1: the group has none */
	int usage_fd[LIMITS];
	int stat_fd;
};

/* `lock` protects these variables, and is a leaf. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int self_fd = -1;		/* /proc/self/cgroup */
static char self_text[SELF_TEXT_BYTES]; /* when the files were opened */
static const struct names *names;
static struct level levels[LEVELS_MAX];
static unsigned level_count;

/* --- where the groups are --- */

/* Whether the comma-separated LIST of LENGTH bytes has "memory". */
static bool has_memory(const char *list, size_t length)
{
	static const char word[] = "memory";
	const char *end = list + length;

	while (list < end) {
		size_t n = strcspn(list, ",:");

		if (n == sizeof word - 1 && !memcmp(list, word, n))
			return true;
		list += n + 1;
	}
	return false;
}

/* Lines are "number:controllers:path"; v2 has the number 0 and no controllers.
 */
bool cgroup_find_path(const char *text, bool *v1, char *path, size_t size)
{
	const char *found = NULL;

	for (const char *line = text; *line;) {
		const char *list = strchr(line, ':');
		const char *at = list ? strchr(list + 1, ':') : NULL;
		const char *end = strchrnul(line, '\n');

		if (at && at < end) {
			size_t length = (size_t)(at - (list + 1));
			bool memory = has_memory(list + 1, length);

			if (memory || (!length && !found)) {
				found = at + 1;
				*v1 = memory;
			}
			if (memory)
				break;
		}
		line = end + (*end == '\n');
	}
	if (!found || strcspn(found, "\n") >= size)
		return false;
	snprintf(path, size, "%.*s", (int)strcspn(found, "\n"), found);
	return true;
}

static bool is_memory_mount(struct libmnt_fs *fs, bool v1)
{
	const char *type = mnt_fs_get_fstype(fs);
	const char *options = mnt_fs_get_fs_options(fs);
	char *value;
	size_t length;

	if (!type || strcmp(type, v1 ? "cgroup" : "cgroup2") != 0)
		return false;
	return !v1 || (options && mnt_optstr_get_option(options, "memory",
							&value, &length) == 0);
}

/* The part of PATH below ROOT, or NULL when PATH is not below ROOT. */
static const char *below(const char *path, const char *root)
{
	size_t length = strlen(root);

	if (!strcmp(root, "/"))
		return path;
	if (strncmp(path, root, length) != 0 ||
	    (path[length] && path[length] != '/'))
		return NULL;
	return path + length;
}

/* Sets DIR to the directory of the group PATH; if the mounted tree does not
 * have the group, to the top of that tree.  The first *TOP bytes of DIR are the
 * mount point.  -ENOENT: the controller is not mounted. */
static int find_dir(const char *path, bool v1, char *dir, size_t size,
		    size_t *top)
{
	struct libmnt_table *table =
		mnt_new_table_from_file("/proc/self/mountinfo");
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs;
	int rc = -ENOENT, n = 0;

	if (!table || !iter)
		rc = -EIO;
	while (rc != -EIO && rc != 0 &&
	       mnt_table_next_fs(table, iter, &fs) == 0) {
		const char *rest, *target = mnt_fs_get_target(fs);
		const char *root = mnt_fs_get_root(fs);

		if (!is_memory_mount(fs, v1) || !target || !root)
			continue;
		rest = strncmp(path, "/..", 3) ? below(path, root) : NULL;
		if (!rest && rc == -EXDEV)
			continue;
		n = snprintf(dir, size, "%s%s", target,
			     rest && strcmp(rest, "/") ? rest : "");
		*top = strlen(target);
		rc = rest ? 0 : -EXDEV;
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	if (rc == -EXDEV)
		rc = 0;
	return !rc && (n < 0 || (size_t)n >= size) ? -ENAMETOOLONG : rc;
}

/* --- the files --- */

/* Opens the file in *FD, which stays -1 when there is no such file.  0 or a
 * negative errno. */
static int open_file(const char *dir, const char *name, int *fd)
{
	char path[GROUP_PATH_MAX + 64];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd >= 0 || errno == ENOENT ? 0 : -errno;
}

static void close_file(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_levels(void)
{
	for (unsigned i = 0; i < level_count; i++) {
		struct level *level = &levels[i];

		for (int k = 0; k < LIMITS; k++) {
			close_file(&level->limit_fd[k]);
			close_file(&level->usage_fd[k]);
		}
		close_file(&level->stat_fd);
		free(level->dir);
	}
	level_count = 0;
}

static int open_level(const char *dir)
{
	struct level *level = &levels[level_count];
	int err = 0;

	if (level_count == LEVELS_MAX)
		return -E2BIG;
	*level = (struct level){ .dir = strdup(dir),
				 .limit_fd = { -1, -1 },
				 .usage_fd = { -1, -1 },
				 .stat_fd = -1 };
	if (!level->dir)
		return -ENOMEM;
	level_count++;
	for (int k = 0; !err && k < LIMITS; k++) {
		err = open_file(dir, names->limit[k], &level->limit_fd[k]);
		if (!err)
			err = open_file(dir, names->usage[k],
					&level->usage_fd[k]);
	}
	return err ? err : open_file(dir, "memory.stat", &level->stat_fd);
}

/* The group and all groups above it, up to the mount point. */
static int open_levels(bool *seen)
{
	char path[GROUP_PATH_MAX], dir[GROUP_PATH_MAX];
	size_t top = 0;
	bool v1;
	int err;

	*seen = false;
	if (!cgroup_find_path(self_text, &v1, path, sizeof path))
		return 0;
	names = v1 ? &names_v1 : &names_v2;
	err = find_dir(path, v1, dir, sizeof dir, &top);
	if (err)
		return err == -ENOENT ? 0 : err;
	*seen = true;
	for (;;) {
		char *end;

		err = open_level(dir);
		if (err || strlen(dir) <= top)
			return err;
		end = strrchr(dir, '/');
		*end = '\0';
	}
}

static int open_groups(bool *seen, struct error *why)
{
	ssize_t n = kernfile_read(self_fd, self_text, sizeof self_text);
	int err = n < 0 ? (int)n : open_levels(seen);

	if (!err)
		return 0;
	error_set(why, "cannot read the memory limits of its cgroup: %s",
		  strerror(-err));
	close_levels();
	self_text[0] = '\0'; /* differs from the next text */
	return err;
}

int cgroup_open(bool *seen, struct error *why)
{
	int err;

	*seen = false;
	pthread_mutex_lock(&lock);
	self_fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
	err = self_fd < 0 ? -errno : open_groups(seen, why);
	if (self_fd < 0 && err == -ENOENT)
		err = 0; /* a kernel without control groups */
	else if (self_fd < 0)
		error_set(why, "cannot open /proc/self/cgroup: %s",
			  strerror(-err));
	pthread_mutex_unlock(&lock);
	return err;
}

/* --- looking --- */

static int read_bytes(int fd, uint64_t *bytes)
{
	char text[32], *end;
	ssize_t n = kernfile_read(fd, text, sizeof text);

	if (n < 0)
		return (int)n;
	if (!strcmp(text, "max\n")) {
		*bytes = CGROUP_NO_LIMIT;
		return 0;
	}
	*bytes = strtoull(text, &end, 10);
	return end == text ? -EINVAL : 0;
}

/* Page cache that the kernel drops before it kills a process.  If the figure is
 * too low, or the file cannot be read, memory is refused. */
static uint64_t cache_bytes(const struct level *level)
{
	char text[16384];
	uint64_t bytes = 0;

	if (level->stat_fd < 0 ||
	    kernfile_read(level->stat_fd, text, sizeof text) < 0 ||
	    !kernfile_find(text, names->cache, &bytes))
		return 0;
	return bytes;
}

static void name_file(struct cgroup_limit *limit, const struct level *level,
		      int k)
{
	char path[GROUP_PATH_MAX + 64];
	int n = snprintf(path, sizeof path, "%s/%s", level->dir,
			 names->limit[k]);
	int skip = n - (int)sizeof limit->file + 1;

	snprintf(limit->file, sizeof limit->file, "%s",
		 path + (skip > 0 ? skip : 0));
}

static int look_at(const struct level *level, int k, struct cgroup_room *room)
{
	struct cgroup_limit now;
	uint64_t used_bytes, cached_bytes;
	int err;

	if (level->limit_fd[k] < 0 || level->usage_fd[k] < 0)
		return 0;
	err = read_bytes(level->limit_fd[k], &now.max_bytes);
	if (!err)
		err = read_bytes(level->usage_fd[k], &used_bytes);
	/* v1 has a very large number for "no limit". */
	if (err || now.max_bytes > INT64_MAX / 2)
		return err;
	cached_bytes = cache_bytes(level);
	used_bytes -= cached_bytes < used_bytes ? cached_bytes : used_bytes;
	now.available_bytes =
		now.max_bytes > used_bytes ? now.max_bytes - used_bytes : 0;
	name_file(&now, level, k);
	if (now.max_bytes < room->smallest.max_bytes)
		room->smallest = now;
	if (now.available_bytes < room->tightest.available_bytes)
		room->tightest = now;
	return 0;
}

/* A group may get the controller, and the files, at any time. */
static bool has_new_files(const struct level *level)
{
	char path[GROUP_PATH_MAX + 64];

	if (level->limit_fd[0] >= 0)
		return false;
	snprintf(path, sizeof path, "%s/%s", level->dir, names->limit[0]);
	return access(path, F_OK) == 0;
}

/* Whether the open files no longer belong to the group of this process. */
static bool is_outdated(void)
{
	char text[SELF_TEXT_BYTES];
	bool outdated = kernfile_read(self_fd, text, sizeof text) < 0 ||
			strcmp(text, self_text) != 0;

	for (unsigned i = 0; !outdated && i < level_count; i++)
		outdated = has_new_files(&levels[i]);
	return outdated;
}

static int look_at_all(struct cgroup_room *room)
{
	const struct cgroup_limit none = {
		.max_bytes = CGROUP_NO_LIMIT,
		.available_bytes = CGROUP_NO_LIMIT,
	};
	int err = 0;

	*room = (struct cgroup_room){ none, none };
	for (unsigned i = 0; !err && i < level_count; i++) {
		for (int k = 0; !err && k < LIMITS; k++)
			err = look_at(&levels[i], k, room);
	}
	return err;
}

int cgroup_look(struct cgroup_room *room, struct error *why)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (self_fd >= 0 && is_outdated()) {
		bool seen;

		close_levels();
		err = open_groups(&seen, why);
	}
	if (!err) {
		err = look_at_all(room);
		if (err)
			error_set(why,
				  "cannot read the memory limits of its "
				  "cgroup: %s",
				  strerror(-err));
	}
	pthread_mutex_unlock(&lock);
	return err;
}
