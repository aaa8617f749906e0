#include "settings.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "newfile.h"

#define CHANGES_MAX 16
#define PATH_BYTES  128

/* A line of a record: "PATH OLD NEW". */
struct change {
	char path[PATH_BYTES];
	char old[SETTINGS_VALUE_MAX], new[SETTINGS_VALUE_MAX];
};

struct record {
	struct change changes[CHANGES_MAX];
	int n;
};

/* No value and no path has spaces, so a line has three words. */
static void load(const char *path, struct record *record)
{
	FILE *f = fopen(path, "re");
	struct change c;

	record->n = 0;
	if (!f)
		return;
	while (record->n < CHANGES_MAX &&
	       fscanf(f, "%127s %63s %63s", c.path, c.old, c.new) == 3)
		record->changes[record->n++] = c;
	fclose(f);
}

static int save(const char *path, const struct record *record,
		struct error *why)
{
	char text[CHANGES_MAX * (sizeof(struct change) + 4)];
	size_t have = 0;

	for (int i = 0; i < record->n; i++) {
		const struct change *c = &record->changes[i];

		have += (size_t)snprintf(text + have, sizeof text - have,
					 "%s %s %s\n", c->path, c->old, c->new);
	}
	return newfile_replace(path, text, why);
}

static struct change *find(struct record *record, const char *path)
{
	for (int i = 0; i < record->n; i++) {
		if (!strcmp(record->changes[i].path, path))
			return &record->changes[i];
	}
	return NULL;
}

/* The entry for PATH, made anew where there is none; or NULL.  NOW is the value
 * before this change.  If NOW is not what the change before has set, an
 * administrator has set it since: that is what is to be put back. */
static struct change *entry(struct record *record, const char *path,
			    const char *now)
{
	struct change *c = find(record, path);

	if (c && !strcmp(c->new, now))
		return c;
	if (!c && (record->n == CHANGES_MAX || strlen(path) >= PATH_BYTES))
		return NULL;
	if (!c)
		c = &record->changes[record->n++];
	snprintf(c->path, sizeof c->path, "%s", path);
	snprintf(c->old, sizeof c->old, "%s", now);
	return c;
}

bool settings_read(const char *path, char value[SETTINGS_VALUE_MAX])
{
	FILE *f = fopen(path, "re");
	char line[256], *from = line, *chosen;
	bool ok = f && fgets(line, sizeof line, f);

	if (f)
		fclose(f);
	if (!ok)
		return false;
	chosen = strchr(line, '[');
	if (chosen)
		from = chosen + 1;
	from[strcspn(from, chosen ? "]\n" : " \t\n")] = '\0';
	if (!*from || strlen(from) >= SETTINGS_VALUE_MAX)
		return false;
	strcpy(value, from);
	return true;
}

uint64_t settings_number(const char *path)
{
	char value[SETTINGS_VALUE_MAX];

	return settings_read(path, value) ? strtoull(value, NULL, 10) : 0;
}

static int write_value(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

int settings_change(const char *record_path, const char *path,
		    const char *value, struct error *why)
{
	struct record record;
	char old[SETTINGS_VALUE_MAX];
	struct change *c;
	int rc;

	errno = ENODATA;
	if (!settings_read(path, old)) {
		rc = -errno;
		error_set(why, "%s: %s", path, strerror(-rc));
		return rc;
	}
	if (!strcmp(old, value))
		return 0;
	load(record_path, &record);
	c = entry(&record, path, old);
	if (!c) {
		error_set(why, "%s: no room in %s", path, record_path);
		return -ENOSPC;
	}
	snprintf(c->new, sizeof c->new, "%s", value);
	/* kept first: if rswapctl dies now, the old value is there already */
	rc = save(record_path, &record, why);
	if (rc)
		return rc;
	rc = write_value(path, value);
	if (rc)
		error_set(why, "%s: %s: %s", path, value, strerror(-rc));
	return rc ? rc : 1;
}

void settings_put_back(const char *record_path,
		       void (*tell)(void *arg, const char *path,
				    const char *from, const char *to),
		       void *arg)
{
	struct record record;
	char now[SETTINGS_VALUE_MAX];

	load(record_path, &record);
	for (int i = 0; i < record.n; i++) {
		const struct change *c = &record.changes[i];

		if (!settings_read(c->path, now) || strcmp(now, c->new) ||
		    write_value(c->path, c->old))
			continue;
		if (tell)
			tell(arg, c->path, c->new, c->old);
	}
	unlink(record_path);
}
