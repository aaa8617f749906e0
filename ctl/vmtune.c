#include "vmtune.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "settings.h"
#include "statedir.h"
#include "swapinfo.h"
#include "warning.h"

#define RESERVE_MAX_KIB (64u << 10)
#define RESERVE_PART	20

/* For the lock, which others have for as long as it takes to write some files.
 */
#define LOCK_NS (10 * NS_PER_S)

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

/* Lines for the terminal.  They are printed once the lock is given back: a
 * terminal that was stopped would hold up every attach on the machine. */
struct lines {
	char text[512];
	size_t have;
};

static void tell(void *arg, const char *path, const char *from, const char *to)
{
	struct lines *lines = arg;
	size_t room = sizeof lines->text - lines->have;
	int n = snprintf(lines->text + lines->have, room, "  vm.%s: %s -> %s\n",
			 path + strlen(VM), from, to);

	if (n > 0 && (size_t)n < room)
		lines->have += (size_t)n;
	lines->text[lines->have] = '\0';
}

static int lock(struct error *why)
{
	return statedir_lock_settings(clock_now_ns() + LOCK_NS, why);
}

static void unlock(int lock_fd, const struct lines *lines)
{
	close(lock_fd);
	fputs(lines->text, stdout);
}

static int set_one(const char *path, uint64_t wanted, bool at_least,
		   struct lines *lines, struct error *why)
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
		tell(lines, path, from, to);
	/* A kernel without the setting has nothing to set. */
	return rc < 0 && rc != -ENOENT ? -1 : 0;
}

/* The last detach removes its directory, and then takes the lock.  So under the
 * lock this tells whether a detach is still to come, which puts back. */
static bool any_attached(void)
{
	char names[1][STATE_NAME_MAX + 1];

	return statedir_list(names, 1) > 0;
}

int vmtune_set(enum vmtune_scope scope, struct error *why)
{
	int lock_fd = lock(why), err = 0;
	struct lines lines = { "", 0 };

	if (lock_fd < 0)
		return -1;
	if (!any_attached()) {
		error_set(why, "nothing is attached; allowed while a device "
			       "is, whose detach puts the settings back");
		close(lock_fd);
		return -1;
	}
	for (size_t i = 0; i < N_TUNINGS && !err; i++) {
		if (tunings[i].scope <= scope)
			err = set_one(tunings[i].path, tunings[i].wanted(),
				      tunings[i].at_least, &lines, why);
	}
	unlock(lock_fd, &lines);
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
	struct lines lines = { "", 0 };
	struct error why;
	int lock_fd = lock(&why);

	if (lock_fd < 0) {
		warning_print("the kernel's memory settings stay: %s",
			      why.text);
		return;
	}
	if (!any_attached())
		settings_put_back(tune_path("settings").text, tell, &lines);
	unlock(lock_fd, &lines);
}
