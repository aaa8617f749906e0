/* The hosts that a report knows, so that their names can be taken out. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
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

/* The values of options, of a command line or of OPTIONS=...  IS_NEXT: the
 * first word is the value of an option before, as in the line before. */
static void know_options(const struct report *r, char *words, bool *is_next)
{
	char *word;

	while ((word = strsep(&words, "\"' \t\\\n"))) {
		char *first = strstr(word, "=--");
		size_t n;

		if (!*word)
			continue;
		if (*is_next)
			know_value(r, word);
		word = first ? first + 1 : word;
		n = strcspn(word, "=");
		*is_next = names_hosts(word, n) && !word[n];
		if (names_hosts(word, n) && word[n])
			know_value(r, word + n + 1);
	}
}

/* What a running process was told. */
static void know_process(const struct report *r, pid_t pid)
{
	char path[40], words[4096];
	bool is_next = false;
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
	know_options(r, words, &is_next);
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

/* --- the configuration --- */

/* A file of settings, as systemd reads them: a value goes on in the next line
 * after a backslash, and within quotes.  What was commented out has names too.
 */
struct config {
	bool in_servers; /* the next line is of SERVERS= */
	bool in_comment; /* and in comments */
	char quote;	 /* that is not closed yet, or 0 */
	bool is_next;	 /* know_options */
};

static bool is_comment(const char *line)
{
	char first = line[strspn(line, " \t")];

	return first == '#' || first == ';';
}

/* Whether the value goes on in the next line. */
static bool goes_on(struct config *c, const char *value)
{
	size_t n = strcspn(value, "\n");

	if (c->quote && strchr(value, c->quote))
		c->quote = '\0';
	return c->quote || (n && value[n - 1] == '\\');
}

/* The value of SERVERS= in LINE, or NULL. */
static char *servers_of(struct config *c, char *line)
{
	char *value = strstr(line, "SERVERS=");

	if (!value && c->in_servers && c->in_comment == is_comment(line))
		return line + strspn(line, " \t#;");
	c->in_servers = false;
	if (!value)
		return NULL;
	value += strlen("SERVERS=");
	c->in_comment = is_comment(line);
	c->quote = '\0';
	if (*value == '"' || *value == '\'')
		c->quote = *value++;
	return value;
}

static void know_line(const struct report *r, struct config *c, char *line)
{
	char *servers = servers_of(c, line);

	if (!servers) {
		know_options(r, line, &c->is_next);
		return;
	}
	c->in_servers = goes_on(c, servers);
	know_words(r, servers, "\"' \t\\\n");
}

static void know_config(const struct report *r, const char *path)
{
	FILE *f = fopen(path, "re");
	struct config config = { .quote = '\0' };
	char *line = NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) >= 0)
		know_line(r, &config, line);
	free(line);
	if (f)
		fclose(f);
}

/* --- logs --- */

/* What rswapctl and the front ends say of servers that the configuration may
 * not have any more.  Each TEXT begins with what is told above its function. */

#define WORDS_MAX 2048

/* attach: "swapping 64G to store-1 store-2; end it with: ..." */
static void know_swapping(const struct report *r, const char *text)
{
	char words[WORDS_MAX];

	if (sscanf(text, "swapping %*31s to %2047[^;\n]", words) == 1)
		know_values(r, words);
}

/* 'cannot look up "store-1": ...' */
static void know_looked_up(const struct report *r, const char *text)
{
	char word[256];

	if (sscanf(text, "cannot look up \"%255[^\"\n]", word) == 1)
		know_value(r, word);
}

/* "SERVER store-1:0: allowed is ...", and not "a SERVER is missing" */
static void know_argument(const struct report *r, const char *text)
{
	char word[256];

	if (sscanf(text, "SERVER %255s", word) == 1 &&
	    word[strlen(word) - 1] == ':')
		know_value(r, word);
}

/* A pool, and not what is told to be allowed: etcd://HOST... */
static void know_pool(const struct report *r, const char *text)
{
	char words[WORDS_MAX];

	if (sscanf(text, "etcd://%2047[^/ \"'\n]", words) == 1 &&
	    strncmp(words, "HOST...", 7) != 0 &&
	    strncmp(words, "HOST[", 5) != 0)
		know_words(r, words, ",");
}

void report_know_text(const struct report *r, const char *text)
{
	static const struct {
		const char *mark;
		void (*know)(const struct report *r, const char *text);
	} forms[] = {
		{ "swapping ", know_swapping },
		{ "cannot look up ", know_looked_up },
		{ "SERVER ", know_argument },
		{ "etcd://", know_pool },
	};

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		const char *at = text;

		while ((at = strstr(at, forms[i].mark))) {
			forms[i].know(r, at);
			at += strlen(forms[i].mark);
		}
	}
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
