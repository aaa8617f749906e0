#include "vmtune.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "settings.h"
#include "statedir.h"
#include "swapinfo.h"

#define RESERVE_MAX_KIB (64u << 10)
#define RESERVE_PART	20

#define VM "/proc/sys/vm/"

static const char min_free[] = VM "min_free_kbytes";

/* One hundredth of the memory between two watermarks, and eight pages. */
#define WANTED_SCALE   100
#define WANTED_CLUSTER 3

static uint64_t zero(void)
{
	return 0;
}

static uint64_t scale_wanted(void)
{
	return WANTED_SCALE;
}

static uint64_t cluster_wanted(void)
{
	return WANTED_CLUSTER;
}

static const struct {
	const char *path;
	uint64_t (*wanted)(void);
	bool at_least; /* a higher value stays */
	enum vmtune_scope scope;
} tunings[] = {
	{ min_free, reserve_wanted_kib, true, VMTUNE_ATTACH },
	{ VM "compact_unevictable_allowed", zero, false, VMTUNE_ATTACH },
	{ VM "watermark_scale_factor", scale_wanted, true, VMTUNE_ALL },
	{ VM "page-cluster", cluster_wanted, true, VMTUNE_ALL },
};

#define N_TUNINGS (sizeof tunings / sizeof tunings[0])

uint64_t reserve_wanted_kib(void)
{
	uint64_t kib = (meminfo_bytes("MemTotal") >> 10) / RESERVE_PART;

	return kib < RESERVE_MAX_KIB ? kib : RESERVE_MAX_KIB;
}

uint64_t reserve_now_kib(void)
{
	return settings_number(min_free);
}

struct tune_path {
	char text[PATH_MAX];
};

/* No state directory has a name with a dot in front. */
static struct tune_path tune_path(const char *file)
{
	struct tune_path path;

	snprintf(path.text, sizeof path.text, "%s/.%s", statedir_root(), file);
	return path;
}

/* Held while settings and record change.  A descriptor, or -1. */
static int lock(struct error *why)
{
	struct tune_path path = tune_path("settings-lock");
	int fd = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
		      0600);

	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		error_set(why, "%s: %s", path.text, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static void tell(const char *path, const char *from, const char *to)
{
	printf("  vm.%s: %s -> %s\n", path + strlen(VM), from, to);
}

static int set_one(const char *path, uint64_t wanted, bool at_least,
		   struct error *why)
{
	uint64_t now = settings_number(path);
	char from[24], to[24];
	int rc;

	if (at_least && now >= wanted)
		return 0;
	snprintf(from, sizeof from, "%" PRIu64, now);
	snprintf(to, sizeof to, "%" PRIu64, wanted);
	rc = settings_change(tune_path("settings").text, path, to, why);
	if (rc == 1)
		tell(path, from, to);
	/* A kernel without the setting has nothing to set. */
	return rc < 0 && rc != -ENOENT ? -1 : 0;
}

int vmtune_set(enum vmtune_scope scope, struct error *why)
{
	int lock_fd = lock(why), err = 0;

	if (lock_fd < 0)
		return -1;
	for (size_t i = 0; i < N_TUNINGS && !err; i++) {
		if (tunings[i].scope <= scope)
			err = set_one(tunings[i].path, tunings[i].wanted(),
				      tunings[i].at_least, why);
	}
	close(lock_fd);
	return err;
}

bool vmtune_look(size_t i, struct vmtune *tune)
{
	char value[SETTINGS_VALUE_MAX];

	if (i >= N_TUNINGS)
		return false;
	*tune = (struct vmtune){
		.name = tunings[i].path + strlen(VM),
		.scope = tunings[i].scope,
		.exists = settings_read(tunings[i].path, value),
		.now = settings_number(tunings[i].path),
		.wanted = tunings[i].wanted(),
	};
	tune->fits = tune->now == tune->wanted ||
		     (tunings[i].at_least && tune->now > tune->wanted);
	return true;
}

void vmtune_put_back(void)
{
	char names[1][STATE_NAME_MAX + 1];
	struct error ignored;
	int lock_fd = lock(&ignored);

	if (lock_fd < 0)
		return;
	if (statedir_list(names, 1) == 0)
		settings_put_back(tune_path("settings").text, tell);
	close(lock_fd);
}
