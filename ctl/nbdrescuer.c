#include "nbdrescuer.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Linux 6.10 and later write this in front of a rescuer's name. */
#define PREFIX "kworker/R-"

/* Whether NAME is that of the rescuer of device NUMBER. */
static bool is_rescuer(const char *name, int number)
{
	char wanted[32];

	snprintf(wanted, sizeof wanted, "nbd%d-recv", number);
	if (!strncmp(name, PREFIX, strlen(PREFIX)))
		name += strlen(PREFIX);
	return !strcmp(name, wanted);
}

/* The name and the state of a process, as proc(5) has them in `stat`: "PID
 * (NAME) STATE ...".  A rescuer sleeps idle, I, while it has no work. */
static enum nbdrescuer look_at(const char *stat, int number)
{
	char line[256], *name, *end;
	FILE *f = fopen(stat, "re");
	bool read = f && fgets(line, sizeof line, f);

	if (f)
		fclose(f);
	name = read ? strchr(line, '(') : NULL;
	end = name ? strrchr(name, ')') : NULL;
	if (!end || end[1] != ' ')
		return NBDRESCUER_NONE;
	*end = '\0';
	if (!is_rescuer(name + 1, number))
		return NBDRESCUER_NONE;
	return end[2] == 'I' ? NBDRESCUER_IDLE : NBDRESCUER_BUSY;
}

enum nbdrescuer nbdrescuer_look(const char *proc, int number)
{
	enum nbdrescuer found = NBDRESCUER_NONE;
	DIR *dir = opendir(proc);
	struct dirent *entry;

	while (dir && found == NBDRESCUER_NONE && (entry = readdir(dir))) {
		char stat[300];

		if (strtol(entry->d_name, NULL, 10) <= 0)
			continue;
		snprintf(stat, sizeof stat, "%s/%s/stat", proc, entry->d_name);
		found = look_at(stat, number);
	}
	if (dir)
		closedir(dir);
	return found;
}
