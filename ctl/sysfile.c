#include "sysfile.h"

#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_line(char *line, size_t size, const char *path, va_list ap)
{
	char text[PATH_MAX];
	FILE *f;
	bool ok;

	vsnprintf(text, sizeof text, path, ap);
	f = fopen(text, "re");
	ok = f && fgets(line, (int)size, f);
	if (f)
		fclose(f);
	line[ok ? strcspn(line, "\n") : 0] = '\0';
	return ok;
}

bool sysfile_line(char *line, size_t size, const char *path, ...)
{
	va_list ap;
	bool ok;

	va_start(ap, path);
	ok = read_line(line, size, path, ap);
	va_end(ap);
	return ok;
}

bool sysfile_number(int64_t *number, const char *path, ...)
{
	char line[64], *end = line;
	va_list ap;

	va_start(ap, path);
	if (read_line(line, sizeof line, path, ap))
		*number = strtoll(line, &end, 10);
	va_end(ap);
	return end != line;
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int is_directory(const struct dirent *entry)
{
	return is_shown(entry) && entry->d_type == DT_DIR;
}

static void list(struct sysfile_names *names,
		 int (*wanted)(const struct dirent *), const char *path,
		 va_list ap)
{
	struct dirent **entries;
	char text[PATH_MAX];
	int n;

	vsnprintf(text, sizeof text, path, ap);
	names->n = 0;
	n = scandir(text, &entries, wanted, versionsort);
	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;

		if (names->n < SYSFILE_NAMES_MAX &&
		    strlen(name) < sizeof names->text[0])
			strcpy(names->text[names->n++], name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

void sysfile_list(struct sysfile_names *names, const char *path, ...)
{
	va_list ap;

	va_start(ap, path);
	list(names, is_shown, path, ap);
	va_end(ap);
}

void sysfile_list_directories(struct sysfile_names *names, const char *path,
			      ...)
{
	va_list ap;

	va_start(ap, path);
	list(names, is_directory, path, ap);
	va_end(ap);
}
