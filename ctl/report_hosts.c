/* The hosts that a report knows, so that their names can be taken out. */
#include <glob.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "report.h"

static void know_words(const struct report *r, char *words,
		       const char *separators)
{
	char *word;

	while ((word = strsep(&words, separators)))
		redact_host(r->redact, word);
}

static void know_servers(const struct report *r, struct json_object *answer)
{
	char server[256];

	for (size_t i = 0; i < answer_count(answer, "servers"); i++) {
		struct answer_path path = answer_path("servers.%zu.address", i);

		if (answer_text(answer, path.text, server, sizeof server))
			redact_host(r->redact, server);
	}
}

/* Of a memory server: a client names itself PROGRAM@HOST/PID. */
static void know_clients(const struct report *r, struct json_object *answer)
{
	char name[256];

	for (size_t i = 0; i < answer_count(answer, "sessions"); i++) {
		struct answer_path path = answer_path("sessions.%zu.name", i);
		const char *host = NULL;

		if (answer_text(answer, path.text, name, sizeof name))
			host = strchr(name, '@');
		if (host)
			redact_host(r->redact, host + 1);
	}
}

/* HOST[:PORT], or etcd://HOST[:PORT],HOST.../NAME. */
static void know_value(const struct report *r, char *value)
{
	char *hosts = strstr(value, "://");

	hosts = hosts ? hosts + strlen("://") : value;
	hosts[strcspn(hosts, "/")] = '\0';
	know_words(r, hosts, ",");
}

/* Servers, or a pool. */
static void know_values(const struct report *r, char *words)
{
	char *word;

	while ((word = strsep(&words, " ")))
		know_value(r, word);
}

static bool names_hosts(const char *option, size_t n)
{
	/* "pool" is a key of a front end. */
	static const char *const options[] = { "--listen", "--pool",
					       "--pool-address", "pool" };

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
		if (strlen(options[i]) == n && !strncmp(options[i], option, n))
			return true;
	}
	return false;
}

/* The values of options, of a command line or of OPTIONS=... */
static void know_options(const struct report *r, char *words)
{
	bool is_next = false;
	char *word;

	while ((word = strsep(&words, "\"' \n"))) {
		char *first = strstr(word, "=--");
		size_t n;

		if (is_next)
			know_value(r, word);
		word = first ? first + 1 : word;
		n = strcspn(word, "=");
		is_next = names_hosts(word, n) && !word[n];
		if (names_hosts(word, n) && word[n])
			know_value(r, word + n + 1);
	}
}

/* What a running process was told. */
static void know_process(const struct report *r, pid_t pid)
{
	char path[40], words[4096];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	n = fread(words, 1, sizeof words - 1, f);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		words[i] = words[i] ? words[i] : ' ';
	words[n] = '\0';
	know_options(r, words);
}

static void know_target(const struct report *r, const struct target *t)
{
	struct error ignored;
	struct json_object *answer = target_ask(t, &ignored);
	char servers[sizeof t->state->servers] = "";

	if (t->state)
		snprintf(servers, sizeof servers, "%s", t->state->servers);
	know_values(r, servers);
	know_servers(r, answer);
	know_clients(r, answer);
	if (answer_number(answer, "pid"))
		know_process(r, (pid_t)answer_number(answer, "pid"));
}

/* The words of a line SERVERS="..." of /etc/rswap/NAME.conf, and OPTIONS. */
static void know_config(const struct report *r, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[4096];

	while (f && fgets(line, sizeof line, f)) {
		if (strncmp(line, "SERVERS=", 8) == 0)
			know_words(r, line + 8, "\"' \n");
		else
			know_options(r, line);
	}
	if (f)
		fclose(f);
}

/* The name of this machine; without its domain, if it has one. */
static void know_this(const struct report *r)
{
	char name[256] = "";

	if (gethostname(name, sizeof name - 1) < 0)
		return;
	name[strcspn(name, ".")] = '\0';
	redact_host(r->redact, name);
}

void report_know_hosts(const struct report *r)
{
	glob_t found;

	know_this(r);
	for (int i = 0; i < r->n_targets; i++)
		know_target(r, &r->targets[i]);
	know_config(r, REPORT_SERVER_FILE);
	if (glob(REPORT_CONFIG_FILES, GLOB_BRACE, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			know_config(r, found.gl_pathv[i]);
	}
	globfree(&found);
}
