#include "lastlook.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ctlsock.h"
#include "newfile.h"
#include "run.h"
#include "statedir.h"

struct counts {
	uint64_t reads, writes;
};

struct look_path {
	char text[PATH_MAX];
};

static uint64_t number(const char *answer, const char *key)
{
	char value[32];

	return ctlsock_value(answer, key, value, sizeof value)
		       ? strtoull(value, NULL, 10)
		       : 0;
}

static struct counts counts_of(const char *answer)
{
	return (struct counts){ number(answer, "read_errors"),
				number(answer, "write_errors") };
}

/* When the plugin's process started: a pid alone may be reused. */
static uint64_t life_of(const char *answer)
{
	return run_start_time((pid_t)number(answer, "pid"));
}

static struct look_path look_dir(void)
{
	struct look_path path;

	snprintf(path.text, sizeof path.text, "%s/.looks", statedir_root());
	return path;
}

/* A socket's path becomes one file name: "/" and other special characters are
 * written as %2F. */
static struct look_path look_path(const char *name)
{
	struct look_path path = look_dir();
	size_t have = strlen(path.text);

	path.text[have++] = '/';
	for (; *name && have + 4 < sizeof path.text; name++) {
		if (isalnum((unsigned char)*name) || strchr("._-", *name))
			path.text[have++] = *name;
		else
			have += (size_t)snprintf(path.text + have, 4, "%%%02X",
						 (unsigned char)*name);
	}
	path.text[have] = '\0';
	return path;
}

static bool load(const char *name, char *text, size_t size)
{
	FILE *f = fopen(look_path(name).text, "re");
	size_t n;

	if (!f)
		return false;
	n = fread(text, 1, size - 1, f);
	fclose(f);
	text[n] = '\0';
	return true;
}

static void say_since(struct lastlook *look, uint64_t at_s)
{
	time_t at = (time_t)at_s;
	struct tm tm;

	if (!localtime_r(&at, &tm) ||
	    !strftime(look->since, sizeof look->since,
		      "since check last looked, at %F %T", &tm))
		snprintf(look->since, sizeof look->since,
			 "since check last looked");
}

void lastlook_compare(const char *name, const char *answer,
		      struct lastlook *look)
{
	struct counts now = counts_of(answer), then = { 0 };
	char text[256], value[32];

	*look = (struct lastlook){ .since = "since the plugin started" };
	if (load(name, text, sizeof text)) {
		then = counts_of(text);
		/* the look was at another process, or at one whose pid is not
		 * visible here */
		if (number(text, "pid") != number(answer, "pid") ||
		    number(text, "start") != life_of(answer) ||
		    then.reads > now.reads || then.writes > now.writes)
			then = (struct counts){ 0 };
		else
			say_since(look, number(text, "at_s"));
	}
	look->failed_reads = now.reads - then.reads;
	look->failed_writes = now.writes - then.writes;
	if (ctlsock_value(answer, "last_error_ms", value, sizeof value))
		snprintf(look->when, sizeof look->when,
			 ", the last one %" PRIu64 " s ago",
			 (uint64_t)(strtoull(value, NULL, 10) / 1000));
}

int lastlook_keep(const char *name, const char *answer, struct error *why)
{
	struct counts now = counts_of(answer);
	char text[256];

	mkdir(statedir_root(), 0755);
	mkdir(look_dir().text, 0700);
	snprintf(text, sizeof text,
		 "at_s %" PRIu64 "\npid %" PRIu64 "\nstart %" PRIu64
		 "\nread_errors %" PRIu64 "\nwrite_errors %" PRIu64 "\n",
		 (uint64_t)time(NULL), number(answer, "pid"), life_of(answer),
		 now.reads, now.writes);
	return newfile_replace(look_path(name).text, text, why) < 0 ? -1 : 0;
}
