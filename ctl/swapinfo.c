#include "swapinfo.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmount.h>

#include "blockdev.h"

/* Called if the kernel writes a line that libmount's parser does not take. */
static int on_error(struct libmnt_table *table, const char *file, int line)
{
	bool *failed = mnt_table_get_userdata(table);

	(void)file, (void)line;
	*failed = true;
	return -1;
}

/* Whether PATH, swap of the kind "partition", is a zram device, which has no
 * other name than this. */
static bool is_zram(const char *path)
{
	return !strncmp(blockdev_name(path), "zram", 4);
}

/* Whether what comes back from another device can be swapped out to ENTRY.
 * What goes to zram stays in memory, which is counted without it.  A device
 * that is gone, or has lost its size, takes nothing, though the kernel keeps
 * its line. */
static bool is_place(struct libmnt_fs *entry)
{
	const char *source = mnt_fs_get_srcpath(entry);
	const char *kind = mnt_fs_get_swaptype(entry);

	if (!kind || strcmp(kind, "partition") != 0)
		return true;
	return !is_zram(source) && blockdev_path_size_bytes(source) > 0;
}

/* Counts ENTRY to the device that it is in STACK, or to the others.  Its source
 * is without " (deleted)", which the kernel adds when the device node was
 * removed after swapon.  Where swapon ran in a mount namespace that is gone (a
 * systemd unit's), the kernel knows the path only from the root of that file
 * system on: /nbd0 for /dev/nbd0. */
static bool count(struct libmnt_fs *entry, const struct blockdev_stack *stack,
		  struct swap_usage *usage)
{
	const char *source = mnt_fs_get_srcpath(entry);
	/* both in KiB; -1 or 0: unknown */
	int64_t size = mnt_fs_get_size(entry),
		used = mnt_fs_get_usedsize(entry);

	if (!source || size < 0 || used < 0)
		return false;
	for (int i = 0; i < stack->n; i++) {
		if (!blockdev_is(&stack->devices[i], source))
			continue;
		usage->active = true;
		usage->priority = mnt_fs_get_priority(entry);
		snprintf(usage->device, sizeof usage->device, "/dev/%s",
			 stack->devices[i].name);
		usage->used_bytes += (uint64_t)used * 1024;
		if (i > 0)
			snprintf(usage->above, sizeof usage->above, "%s",
				 stack->devices[i].label);
		return true;
	}
	if (size > used && is_place(entry))
		usage->other_free_bytes += (uint64_t)(size - used) * 1024;
	return true;
}

/* Whether the stream begins with the kernel's heading, by which libmount knows
 * what it reads; an empty stream has nothing in it. */
static bool has_heading(FILE *swaps)
{
	static const char heading[] = "Filename\t";
	char word[sizeof heading] = "";

	if (!fgets(word, sizeof word, swaps))
		return true;
	rewind(swaps);
	return !strcmp(word, heading);
}

/* NULL: a line is not understood. */
static struct libmnt_table *parse(FILE *swaps)
{
	struct libmnt_table *table = mnt_new_table();
	bool failed = false;

	if (table && has_heading(swaps) &&
	    mnt_table_set_userdata(table, &failed) == 0 &&
	    mnt_table_set_parser_errcb(table, on_error) == 0 &&
	    mnt_table_parse_stream(table, swaps, "/proc/swaps") == 0 &&
	    !failed && !ferror(swaps))
		return table;
	mnt_unref_table(table);
	return NULL;
}

/* DEVICE with or without "/dev/". */
static void read_stack(const char *device, struct blockdev_stack *stack)
{
	blockdev_read_stack(blockdev_name(device), stack);
}

bool swapinfo_scan(FILE *swaps, const char *device, struct swap_usage *usage)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_table *table = parse(swaps);
	struct blockdev_stack stack;
	struct libmnt_fs *entry;
	bool ok = iter && table;

	*usage = (struct swap_usage){ 0 };
	read_stack(device, &stack);
	while (ok && mnt_table_next_fs(table, iter, &entry) == 0)
		ok = count(entry, &stack, usage);
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return ok;
}

static bool stands_on(const char *source, const struct blockdev_stack *stack)
{
	for (int i = 0; i < stack->n; i++) {
		if (blockdev_is(&stack->devices[i], source))
			return true;
	}
	return false;
}

static bool is_wanted(enum swap_beside beside, const char *source, int theirs,
		      int priority)
{
	if (beside == SWAP_EQUAL)
		return theirs == priority;
	return theirs > priority && is_zram(source);
}

bool swapinfo_scan_beside(FILE *swaps, enum swap_beside beside,
			  const char *device, int priority,
			  struct swap_names *names)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_table *table = parse(swaps);
	struct blockdev_stack stack;
	struct libmnt_fs *entry;
	size_t have = 0;

	names->text[0] = '\0';
	read_stack(device, &stack);
	while (iter && table && have < sizeof names->text &&
	       mnt_table_next_fs(table, iter, &entry) == 0) {
		const char *source = mnt_fs_get_srcpath(entry);

		if (!source || stands_on(source, &stack) ||
		    !is_wanted(beside, source, mnt_fs_get_priority(entry),
			       priority))
			continue;
		have += (size_t)snprintf(names->text + have,
					 sizeof names->text - have, "%s%s",
					 have ? ", " : "", source);
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return names->text[0] != '\0';
}

bool swapinfo_beside(enum swap_beside beside, const char *device, int priority,
		     struct swap_names *names)
{
	FILE *f = fopen("/proc/swaps", "re");
	bool any =
		f && swapinfo_scan_beside(f, beside, device, priority, names);

	if (f)
		fclose(f);
	return any;
}

bool swapinfo_read(const char *device, struct swap_usage *usage)
{
	FILE *f = fopen("/proc/swaps", "re");
	char real[PATH_MAX];
	bool ok;

	*usage = (struct swap_usage){ 0 };
	if (!f)
		return false;
	if (!realpath(device, real))
		snprintf(real, sizeof real, "%s", device);
	ok = swapinfo_scan(f, real, usage);
	fclose(f);
	return ok;
}

uint64_t meminfo_bytes(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "re");
	size_t length = strlen(key);
	uint64_t kb = 0;
	char line[128];

	if (!f)
		return 0;
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, key, length) == 0 && line[length] == ':') {
			sscanf(line + length + 1, "%" SCNu64, &kb);
			break;
		}
	}
	fclose(f);
	return kb * 1024;
}
