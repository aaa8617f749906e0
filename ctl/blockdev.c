#include "blockdev.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct sys_path {
	char text[160];
};

/* Partitions have no directory of their own in /sys/block; /sys/class/block has
 * all devices.  For whole devices the two are the same, and /sys/block is tried
 * first. */
static struct sys_path sys_path(const char *name, const char *file)
{
	struct sys_path path;

	snprintf(path.text, sizeof path.text, "/sys/block/%s/%s", name, file);
	if (access(path.text, F_OK) < 0)
		snprintf(path.text, sizeof path.text, "/sys/class/block/%s/%s",
			 name, file);
	return path;
}

void blockdev_text(const char *name, const char *file, char *text, size_t size)
{
	FILE *f = fopen(sys_path(name, file).text, "re");

	*text = '\0';
	if (!f)
		return;
	if (fgets(text, (int)size, f))
		text[strcspn(text, "\n")] = '\0';
	else
		*text = '\0';
	fclose(f);
}

bool blockdev_exists(const char *name)
{
	return access(sys_path(name, "").text, F_OK) == 0;
}

const char *blockdev_name(const char *path)
{
	return !strncmp(path, "/dev/", 5) ? path + 5 : path + (*path == '/');
}

static uint64_t read_size_bytes(const struct sys_path *path)
{
	FILE *f = fopen(path->text, "re");
	uint64_t sectors = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &sectors) != 1)
		sectors = 0;
	fclose(f);
	return sectors * 512;
}

uint64_t blockdev_size_bytes(const char *name)
{
	struct sys_path path = sys_path(name, "size");

	return read_size_bytes(&path);
}

uint64_t blockdev_path_size_bytes(const char *path)
{
	struct sys_path by_number;
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode))
		return blockdev_size_bytes(blockdev_name(path));
	snprintf(by_number.text, sizeof by_number.text,
		 "/sys/dev/block/%u:%u/size", major(st.st_rdev),
		 minor(st.st_rdev));
	return read_size_bytes(&by_number);
}

/* The file has "reads writes". */
void blockdev_in_flight(const char *name, uint64_t *reads, uint64_t *writes)
{
	FILE *f = fopen(sys_path(name, "inflight").text, "re");

	*reads = *writes = 0;
	if (!f)
		return;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, reads, writes) != 2)
		*reads = *writes = 0;
	fclose(f);
}

unsigned blockdev_queues(const char *name)
{
	DIR *dir = opendir(sys_path(name, "mq").text);
	struct dirent *entry;
	unsigned n = 0;

	while (dir && (entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

static void add(struct blockdev_stack *stack, const char *name)
{
	struct blockdev *device = &stack->devices[stack->n];
	unsigned major, minor;
	char dev[32], dm[sizeof device->dm];

	for (int i = 0; i < stack->n; i++) {
		if (!strcmp(stack->devices[i].name, name))
			return;
	}
	if (stack->n == BLOCKDEV_STACK_MAX ||
	    strlen(name) >= sizeof device->name)
		return;
	*device = (struct blockdev){ 0 };
	strcpy(device->name, name);
	blockdev_text(name, "dm/name", dm, sizeof dm);
	strcpy(device->dm, dm);
	if (*dm)
		snprintf(device->label, sizeof device->label, "/dev/%s (%.28s)",
			 name, dm);
	else
		snprintf(device->label, sizeof device->label, "/dev/%s", name);
	blockdev_text(name, "dev", dev, sizeof dev);
	if (sscanf(dev, "%u:%u", &major, &minor) == 2)
		device->dev = makedev(major, minor);
	stack->n++;
}

static void add_holders(struct blockdev_stack *stack, const char *name)
{
	DIR *dir = opendir(sys_path(name, "holders").text);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			add(stack, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* The device's subdirectories whose name begins with its own. */
static void add_partitions(struct blockdev_stack *stack, const char *name)
{
	DIR *dir = opendir(sys_path(name, "").text);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char file[300];

		if (strncmp(entry->d_name, name, strlen(name)) != 0)
			continue;
		snprintf(file, sizeof file, "%s/partition", entry->d_name);
		if (access(sys_path(name, file).text, F_OK) == 0)
			add(stack, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

void blockdev_read_stack(const char *name, struct blockdev_stack *stack)
{
	stack->n = 0;
	add(stack, name);
	/* the stack grows meanwhile */
	for (int i = 0; i < stack->n; i++) {
		char base[32];

		strcpy(base, stack->devices[i].name);
		add_holders(stack, base);
		add_partitions(stack, base);
	}
}

bool blockdev_is(const struct blockdev *device, const char *path)
{
	char mapper[160];
	struct stat st;

	if (device->dev && stat(path, &st) == 0 && S_ISBLK(st.st_mode) &&
	    st.st_rdev == device->dev)
		return true;
	snprintf(mapper, sizeof mapper, "mapper/%s", device->dm);
	return path[0] == '/' &&
	       (!strcmp(blockdev_name(path), device->name) ||
		(*device->dm && !strcmp(blockdev_name(path), mapper)));
}
