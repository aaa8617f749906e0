#include "blockdev.h"

#include <dirent.h>
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

/* The first word of a file; "" where there is none. */
static void read_word(const char *name, const char *file, char *word,
		      size_t size)
{
	FILE *f = fopen(sys_path(name, file).text, "re");

	*word = '\0';
	if (!f)
		return;
	if (fgets(word, (int)size, f))
		word[strcspn(word, "\n")] = '\0';
	else
		*word = '\0';
	fclose(f);
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
	read_word(name, "dm/name", dm, sizeof dm);
	strcpy(device->dm, dm);
	if (*dm)
		snprintf(device->label, sizeof device->label, "/dev/%s (%.28s)",
			 name, dm);
	else
		snprintf(device->label, sizeof device->label, "/dev/%s", name);
	read_word(name, "dev", dev, sizeof dev);
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
	if (!strncmp(path, "/dev/", 5))
		path += 4;
	return path[0] == '/' && (!strcmp(path + 1, device->name) ||
				  (*device->dm && !strcmp(path + 1, mapper)));
}
