#include "beside.h"

#include <stdio.h>
#include <string.h>

#include <libmount.h>

#include "blockdev.h"
#include "driver.h"
#include "error.h"
#include "run.h"
#include "statedir.h"
#include "swapinfo.h"
#include "sysfile.h"

#define NAMES_MAX 256

static void found(finding_tell *tell, void *arg, enum finding_code code,
		  const struct error *what, const char *action)
{
	tell(arg, &(struct finding){ code, what->text, action, false });
}

/* --- other swap --- */

static const char *name_of(const struct beside *b)
{
	return *b->device ? b->device : "rswapctl attach gives";
}

static void judge_priorities(const struct beside *b, finding_tell *tell,
			     void *arg)
{
	struct swap_names others;
	struct error what, action;

	if (swapinfo_beside(SWAP_EQUAL, b->device, b->priority, &others)) {
		error_set(&what,
			  "%s has priority %d, as %s: the kernel puts pages on "
			  "both in turn, and a program needs both",
			  others.text, b->priority, name_of(b));
		error_set(&action,
			  "rswapctl detach, and attach with --priority=%d (or "
			  "lower) to fill one of them first",
			  b->priority + 1);
		found(tell, arg, FINDING_EQUAL_PRIORITY, &what, action.text);
	}
	if (swapinfo_beside(SWAP_ZRAM_ABOVE, b->device, b->priority, &others)) {
		error_set(&what,
			  "%s has a higher priority than the %d of %s: the "
			  "pages that have not been needed for longest fill "
			  "memory, and those needed soon travel",
			  others.text, b->priority,
			  *b->device ? b->device : "rswapctl attach");
		found(tell, arg, FINDING_ZRAM_IN_FRONT, &what, NULL);
	}
}

/* A device of one of our drivers, whoever attached it. */
static bool is_swap_device(const char *path)
{
	int number;

	return driver_of(path, &number) != NULL;
}

static void judge_writeback(finding_tell *tell, void *arg)
{
	struct sysfile_names names;
	char device[64];
	struct error what;

	sysfile_list(&names, "/sys/block");
	for (int i = 0; i < names.n; i++) {
		if (strncmp(names.text[i], "zram", 4) != 0)
			continue;
		blockdev_text(names.text[i], "backing_dev", device,
			      sizeof device);
		if (!is_swap_device(device))
			continue;
		error_set(&what,
			  "%s writes back to %s: the kernel never trims a "
			  "device behind zram, so the servers keep every slab",
			  names.text[i], device);
		found(tell, arg, FINDING_ZRAM_WRITEBACK, &what, NULL);
	}
}

/* --- what stands on it --- */

static bool is_crypt(const struct blockdev *device)
{
	char uuid[64];

	blockdev_text(device->name, "dm/uuid", uuid, sizeof uuid);
	return !strncmp(uuid, "CRYPT-", 6);
}

static void judge_crypt(const struct beside *b, finding_tell *tell, void *arg)
{
	struct blockdev_stack stack;
	struct error what;

	if (!b->sealed || strncmp(b->device, "/dev/", 5) != 0)
		return;
	blockdev_read_stack(b->device + 5, &stack);
	for (int i = 1; i < stack.n; i++) {
		if (!is_crypt(&stack.devices[i]))
			continue;
		error_set(&what,
			  "%s encrypts with dm-crypt what %s seals again",
			  stack.devices[i].label, b->device);
		found(tell, arg, FINDING_SEALED_TWICE, &what, NULL);
	}
}

/* --- programs that look at swap once --- */

static void judge_program(const char *program, uint64_t start,
			  finding_tell *tell, void *arg)
{
	struct error what, action;
	uint64_t began;

	if (!run_find_process(program, NULL, &began) || began >= start)
		return;
	error_set(&what, "%s started before this swap, and looks for swap once",
		  program);
	error_set(&action, "systemctl restart %s", program);
	found(tell, arg, FINDING_STARTED_BEFORE_SWAP, &what, action.text);
}

void beside_judge(const struct beside *b, finding_tell *tell, void *arg)
{
	judge_priorities(b, tell, arg);
	judge_crypt(b, tell, arg);
	if (!b->start)
		return;
	judge_program("kubelet", b->start, tell, arg);
	judge_program("systemd-oomd", b->start, tell, arg);
}

/* --- lines in /etc --- */

/* Whether rswap has attached the device PATH now. */
static bool is_attached(const char *path)
{
	static char names[NAMES_MAX][STATE_NAME_MAX + 1];
	int n = statedir_list(names, NAMES_MAX);
	struct error ignored;
	struct state state;

	for (int i = 0; i < n; i++) {
		if (statedir_load(names[i], &state, &ignored) == 0 &&
		    !strcmp(state.device, path) && !statedir_is_foreign(&state))
			return true;
	}
	return false;
}

/* A line of swap is of a device that rswap would attach.  Another one may be of
 * a disk behind nbd or ublk that rswap has nothing to do with. */
static bool concerns_rswap(const char *device, bool of_swap)
{
	return is_swap_device(device) && (of_swap || is_attached(device));
}

static void tell_line(const char *file, const char *device, finding_tell *tell,
		      void *arg)
{
	struct error what;

	error_set(&what,
		  "%s has a line for %.64s, which is not there before rswap "
		  "attaches it",
		  file, device);
	found(tell, arg, FINDING_DEVICE_IN_FSTAB, &what, NULL);
}

static void judge_fstab(finding_tell *tell, void *arg)
{
	struct libmnt_table *table = mnt_new_table();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *entry;

	if (table && iter && mnt_table_parse_fstab(table, NULL) == 0) {
		while (mnt_table_next_fs(table, iter, &entry) == 0) {
			const char *source = mnt_fs_get_source(entry);

			if (source &&
			    concerns_rswap(source, mnt_fs_is_swaparea(entry)))
				tell_line("/etc/fstab", source, tell, arg);
		}
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
}

/* "NAME DEVICE KEYFILE OPTIONS" */
static void judge_crypttab(finding_tell *tell, void *arg)
{
	FILE *f = fopen("/etc/crypttab", "re");
	char line[512], device[64];

	while (f && fgets(line, sizeof line, f)) {
		char list[256] = "";
		bool of_swap;

		if (sscanf(line, " %*[^# \t\n] %63s %*s %255s", device, list) <
		    1)
			continue;
		of_swap = mnt_optstr_get_option(list, "swap", NULL, NULL) == 0;
		if (concerns_rswap(device, of_swap))
			tell_line("/etc/crypttab", device, tell, arg);
	}
	if (f)
		fclose(f);
}

void beside_judge_machine(finding_tell *tell, void *arg)
{
	judge_writeback(tell, arg);
	judge_fstab(tell, arg);
	judge_crypttab(tell, arg);
}
