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

#include "answer.h"
#include "keyvalue.h"
#include "newfile.h"
#include "run.h"
#include "statedir.h"
#include "words.h"

struct counts {
	uint64_t reads, writes;
};

struct look_path {
	char text[PATH_MAX];
};

static uint64_t number(const char *text, const char *key)
{
	char value[32];

	return keyvalue_get(text, key, value, sizeof value)
		       ? strtoull(value, NULL, 10)
		       : 0;
}

static struct counts counts_of(struct json_object *answer)
{
	return (struct counts){ answer_number(answer, "read_errors"),
				answer_number(answer, "write_errors") };
}

/* When the plugin's process started: a pid alone may be reused. */
static uint64_t life_of(struct json_object *answer)
{
	return run_start_time((pid_t)answer_number(answer, "pid"));
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

void lastlook_compare(const char *name, struct json_object *answer,
		      struct lastlook *look)
{
	struct counts now = counts_of(answer), then = { 0 };
	char text[256];

	*look = (struct lastlook){ .since = "since the plugin started" };
	if (load(name, text, sizeof text)) {
		then = (struct counts){ number(text, "read_errors"),
					number(text, "write_errors") };
		/* the look was at another process, or at one whose pid is not
		 * visible here */
		if (number(text, "pid") != answer_number(answer, "pid") ||
		    number(text, "start") != life_of(answer) ||
		    then.reads > now.reads || then.writes > now.writes)
			then = (struct counts){ 0 };
		else
			say_since(look, number(text, "at_s"));
	}
	look->failed_reads = now.reads - then.reads;
	look->failed_writes = now.writes - then.writes;
	if (answer_at(answer, "last_error_ms"))
		snprintf(
			look->when, sizeof look->when, ", the last one %s",
			words_ago(answer_number(answer, "last_error_ms")).text);
}

int lastlook_keep(const char *name, struct json_object *answer,
		  struct error *why)
{
	struct counts now = counts_of(answer);
	char text[256];

	mkdir(statedir_root(), 0755);
	mkdir(look_dir().text, 0700);
	snprintf(text, sizeof text,
		 "at_s %" PRIu64 "\npid %" PRIu64 "\nstart %" PRIu64
		 "\nread_errors %" PRIu64 "\nwrite_errors %" PRIu64 "\n",
		 (uint64_t)time(NULL), answer_number(answer, "pid"),
		 life_of(answer), now.reads, now.writes);
	return newfile_replace(look_path(name).text, text, why) < 0 ? -1 : 0;
}
