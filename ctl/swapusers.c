#include "swapusers.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024 * 1024)

void swapusers_add(struct swapusers *users, const struct swapuser *user)
{
	unsigned at = users->n < SWAPUSERS_NAMED ? users->n : SWAPUSERS_NAMED;

	users->n++;
	users->bytes += user->bytes;
	while (at > 0 && users->largest[at - 1].bytes < user->bytes) {
		if (at < SWAPUSERS_NAMED)
			users->largest[at] = users->largest[at - 1];
		at--;
	}
	if (at < SWAPUSERS_NAMED)
		users->largest[at] = *user;
}

/* A process chooses its own name: the name must not forge lines. */
static void take_name(struct swapuser *user, const char *name)
{
	size_t n = 0;

	for (; *name && *name != '\n' && n < sizeof user->name - 1; name++)
		user->name[n++] = isprint((unsigned char)*name) ? *name : '?';
	user->name[n] = '\0';
}

/* False: the process has no pages in swap, or is gone. */
static bool read_user(const char *pid, struct swapuser *user)
{
	static const char name_key[] = "Name:\t";
	char path[300], line[256];
	uint64_t kib = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%s/status", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	*user = (struct swapuser){ .pid = (pid_t)strtol(pid, NULL, 10) };
	while (fgets(line, sizeof line, f)) {
		if (!strncmp(line, name_key, sizeof name_key - 1))
			take_name(user, line + sizeof name_key - 1);
		else if (sscanf(line, "VmSwap: %" SCNu64, &kib) == 1)
			break;
	}
	fclose(f);
	user->bytes = kib * 1024;
	return kib > 0;
}

void swapusers_read(struct swapusers *users)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	*users = (struct swapusers){ 0 };
	while (proc && (entry = readdir(proc))) {
		struct swapuser user;

		if (isdigit((unsigned char)entry->d_name[0]) &&
		    read_user(entry->d_name, &user))
			swapusers_add(users, &user);
	}
	if (proc)
		closedir(proc);
}

struct swapusers_text swapusers_format(const struct swapusers *users)
{
	unsigned named =
		users->n < SWAPUSERS_NAMED ? users->n : SWAPUSERS_NAMED;
	struct swapusers_text out = { "" };
	size_t have = 0;

	for (unsigned i = 0; i < named; i++) {
		const struct swapuser *u = &users->largest[i];

		have += (size_t)snprintf(
			out.text + have, sizeof out.text - have,
			"%s%s (process %d, %" PRIu64 " MiB)", i ? ", " : "",
			u->name, (int)u->pid, (u->bytes + MIB - 1) / MIB);
		if (have >= sizeof out.text)
			return out;
	}
	if (users->n > named)
		snprintf(out.text + have, sizeof out.text - have,
			 " and %u more", users->n - named);
	return out;
}
