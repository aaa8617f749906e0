#include "nbdrescuer.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Linux 6.10 and later write this in front of a rescuer's name. */
#define PREFIX "kworker/R-"

/* Whether NAME is that of the rescuer of device NUMBER.  While the rescuer is
 * with workers that need it, the kernel shows what it does behind its name, as
 * with them. */
static bool is_rescuer(const char *name, int number)
{
	char wanted[32];
	size_t n;

	snprintf(wanted, sizeof wanted, "nbd%d-recv", number);
	n = strlen(wanted);
	if (!strncmp(name, PREFIX, strlen(PREFIX)))
		name += strlen(PREFIX);
	return !strncmp(name, wanted, n) &&
	       (!name[n] || name[n] == '+' || name[n] == '-');
}

/* Linux 4.18 and later show a worker's work behind its name, and + in front of
 * it while the work runs (wq_worker_comm). */
static bool is_receiver(const char *name, int number)
{
	char wanted[32];
	size_t n = strlen(name), end;

	snprintf(wanted, sizeof wanted, "+nbd%d-recv", number);
	end = strlen(wanted);
	return !strncmp(name, "kworker/", strlen("kworker/")) && n > end &&
	       !strcmp(name + n - end, wanted);
}

/* The name and the state of a process, as proc(5) has them in `stat`: "PID
 * (NAME) STATE ...".  A rescuer sleeps idle, I, while it has no work. */
static void look_at(const char *stat, int number, struct nbdreceivers *found)
{
	char line[256], *name, *end;
	FILE *f = fopen(stat, "re");
	bool read = f && fgets(line, sizeof line, f);

	if (f)
		fclose(f);
	name = read ? strchr(line, '(') : NULL;
	end = name ? strrchr(name, ')') : NULL;
	if (!end || end[1] != ' ')
		return;
	*end = '\0';
	if (is_rescuer(name + 1, number))
		found->rescuer =
			end[2] == 'I' ? NBDRESCUER_IDLE : NBDRESCUER_BUSY;
	else if (is_receiver(name + 1, number))
		found->workers++;
}

struct nbdreceivers nbdrescuer_look(const char *proc, int number)
{
	struct nbdreceivers found = { .rescuer = NBDRESCUER_NONE };
	DIR *dir = opendir(proc);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char stat[300];

		if (strtol(entry->d_name, NULL, 10) <= 0)
			continue;
		snprintf(stat, sizeof stat, "%s/%s/stat", proc, entry->d_name);
		look_at(stat, number, &found);
	}
	if (dir)
		closedir(dir);
	return found;
}
