#include "cmdline.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keys.h"

/* argp's keys: an option of the table has FIRST_KEY + its index.  They are no
 * characters, so there are no short options. */
enum { HELP_KEY = 256, VERSION_KEY, FIRST_KEY };

struct parse {
	const struct cmdline *cmdline;
	enum cmdline_verdict verdict;
	struct cmdline_error *why;
	int n_words;
};

__attribute__((format(printf, 2, 3))) static void wrong(struct parse *parse,
							const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(parse->why->text, sizeof parse->why->text, format, args);
	va_end(args);
	parse->verdict = CMDLINE_WRONG;
}

/* --- values --- */

/* An option with a value as the plugin's table has it. */
static struct key as_key(const struct option_spec *o)
{
	static const enum key_kind kinds[] = {
		[OPTION_TEXT] = KEY_IS_TEXT,
		[OPTION_CHOICE] = KEY_IS_CHOICE,
		[OPTION_NUMBER] = KEY_IS_NUMBER,
		[OPTION_SIZE] = KEY_IS_SIZE,
	};

	if (o->kind == OPTION_KEY)
		return *o->key;
	return (struct key){
		.name = o->name,
		.kind = kinds[o->kind],
		.allowed = "any text but an empty one",
		.choices = o->choices,
		.min = o->min,
		.max = o->max,
		.preset = o->preset,
	};
}

/* False with WHY, which tells what is allowed. */
static bool take_value(const struct option_spec *o, const char *value,
		       struct error *why)
{
	struct key key;
	uint64_t n;

	if (o->kind == OPTION_FLAG) {
		*o->out.flag = true;
		return true;
	}
	if (o->kind == OPTION_OTHER)
		return o->out.take(value, why);
	key = as_key(o);
	if (!key_parse(&key, value, &n)) {
		error_set(why, "%s", key_allowed(&key).text);
		return false;
	}
	if (o->kind == OPTION_NUMBER)
		*o->out.number = (unsigned)n;
	else if (o->kind == OPTION_SIZE)
		*o->out.bytes = n;
	else
		*o->out.text = value;
	return true;
}

/* --- words that argp refuses --- */

/* The option of a word "--NAME" or "--NAME=VALUE". */
static const struct option_spec *find(const struct parse *parse,
				      const char *word)
{
	const char *name = word + 2;
	size_t length = strcspn(name, "=");

	for (const struct option_spec *o = parse->cmdline->options;
	     o->name && !strncmp(word, "--", 2); o++) {
		if (strlen(o->name) == length &&
		    strncmp(o->name, name, length) == 0)
			return o;
	}
	return NULL;
}

static void no_such_option(struct parse *parse, const char *word)
{
	char allowed[512] = "";
	size_t used = 0;

	for (const struct option_spec *o = parse->cmdline->options;
	     o->name && used < sizeof allowed; o++)
		used += (size_t)snprintf(allowed + used, sizeof allowed - used,
					 "--%s, ", o->name);
	wrong(parse, "%.60s: no such option; allowed are %s--help%s", word,
	      allowed, parse->cmdline->has_version ? ", --version" : "");
}

/* False where the fault is not in WORD. */
static bool refuse(struct parse *parse, const char *word)
{
	const struct option_spec *o = find(parse, word);
	bool has_value = strchr(word, '=');

	if (word[0] != '-')
		return false;
	if (!strncmp(word, "--help=", 7) || !strncmp(word, "--version=", 10))
		wrong(parse, "%.100s: allowed is %.*s without a value", word,
		      (int)strcspn(word, "="), word);
	else if (!o)
		no_such_option(parse, word);
	else if (!o->metavar && has_value)
		wrong(parse, "%.100s: allowed is --%s without a value", word,
		      o->name);
	else if (o->metavar && !has_value)
		wrong(parse, "--%s: a value is missing; allowed is --%s=%s",
		      o->name, o->name, o->metavar);
	else
		return false;
	return true;
}

/* argp tells no more than how far it has come.  It stands behind a long option,
 * and in front of a word with a short one. */
static void refuse_here(struct parse *parse, const struct argp_state *state)
{
	const char *behind = state->argv[state->next - 1];
	const char *ahead = state->argv[state->next];

	if (!refuse(parse, behind) && !(ahead && refuse(parse, ahead)))
		wrong(parse, "%.100s: not understood", behind);
}

/* --- what argp calls --- */

static error_t take_option(struct parse *parse, const struct option_spec *o,
			   const char *value, const struct argp_state *state)
{
	bool apart = value && state->argv[state->next - 1] == value;
	const char *word = state->argv[state->next - (apart ? 2 : 1)];
	struct error allowed = { "" };

	if (find(parse, word) != o)
		no_such_option(parse, word);
	else if (!take_value(o, value ? value : "on", &allowed))
		wrong(parse, "--%s=%.100s: allowed is %s", o->name, value,
		      allowed.text);
	return parse->verdict == CMDLINE_RUN ? 0 : EINVAL;
}

/* --help or --version, written in full. */
static error_t take_question(struct parse *parse, const char *full,
			     enum cmdline_verdict verdict,
			     const struct argp_state *state)
{
	const char *word = state->argv[state->next - 1];

	if (strcmp(word, full) != 0) {
		no_such_option(parse, word);
		return EINVAL;
	}
	parse->verdict = verdict;
	return ECANCELED;
}

static error_t on_key(int key, char *value, struct argp_state *state)
{
	struct parse *parse = state->input;

	switch (key) {
	case HELP_KEY:
		return take_question(parse, "--help", CMDLINE_HELP, state);
	case VERSION_KEY:
		return take_question(parse, "--version", CMDLINE_VERSION,
				     state);
	case ARGP_KEY_ARGS:
		parse->n_words = state->argc - state->next;
		memmove(state->argv, state->argv + state->next,
			(size_t)parse->n_words * sizeof *state->argv);
		return 0;
	case ARGP_KEY_ERROR:
		if (parse->verdict == CMDLINE_RUN)
			refuse_here(parse, state);
		return 0;
	}
	if (key >= FIRST_KEY && key < FIRST_KEY + CMDLINE_OPTIONS_MAX)
		return take_option(parse,
				   &parse->cmdline->options[key - FIRST_KEY],
				   value, state);
	return ARGP_ERR_UNKNOWN;
}

/* --- the table --- */

/* As argp has it. */
struct table {
	struct argp argp;
	struct argp_option options[CMDLINE_OPTIONS_MAX + 3];
	char help[CMDLINE_OPTIONS_MAX][256];
};

static void write_help(const struct option_spec *o, char *text, size_t size)
{
	struct key key;

	if (!o->metavar || o->kind == OPTION_OTHER) {
		snprintf(text, size, "%s", o->help);
		return;
	}
	key = as_key(o);
	snprintf(text, size, "%s%s", o->help, key_range(&key).text);
}

static void make_table(const struct cmdline *cmdline, struct table *table)
{
	struct argp_option *to = table->options;
	int n = 0;

	*table = (struct table){ 0 };
	for (const struct option_spec *o = cmdline->options;
	     o->name && n < CMDLINE_OPTIONS_MAX; o++, n++) {
		write_help(o, table->help[n], sizeof table->help[n]);
		*to++ = (struct argp_option){
			.name = o->name,
			.key = FIRST_KEY + n,
			.arg = o->metavar,
			.doc = table->help[n],
			/* else argp sorts by name */
			.group = n + 1,
		};
	}
	*to++ = (struct argp_option){ .name = "help",
				      .key = HELP_KEY,
				      .doc = "show this and exit",
				      .group = n + 1 };
	if (cmdline->has_version)
		*to = (struct argp_option){ .name = "version",
					    .key = VERSION_KEY,
					    .doc = "show the version and exit",
					    .group = n + 2 };
	table->argp = (struct argp){ .options = table->options,
				     .parser = on_key,
				     .args_doc = cmdline->args,
				     .doc = cmdline->about };
}

enum cmdline_verdict cmdline_parse(const struct cmdline *cmdline, int argc,
				   char **argv, int *n_words,
				   struct cmdline_error *why)
{
	struct parse parse = { .cmdline = cmdline, .why = why };
	struct table table;
	error_t rc;

	make_table(cmdline, &table);
	/* its own messages are of two lines, and end the program */
	rc = argp_parse(&table.argp, argc, argv,
			ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT, NULL,
			&parse);
	if (rc && parse.verdict == CMDLINE_RUN)
		wrong(&parse, "the command line: %s", strerror(rc));
	argv[parse.n_words] = NULL;
	*n_words = parse.n_words;
	return parse.verdict;
}

bool cmdline_runs(const char *program, enum cmdline_verdict verdict,
		  void (*help)(void), const struct cmdline_error *why,
		  int *status)
{
	*status = verdict == CMDLINE_WRONG ? EXIT_FAILURE : EXIT_SUCCESS;
	if (verdict == CMDLINE_HELP)
		help();
	else if (verdict == CMDLINE_VERSION)
		printf("%s %s\n", program, RSWAP_VERSION);
	else if (verdict == CMDLINE_WRONG)
		fprintf(stderr, "%s: %s\n", program, why->text);
	return verdict == CMDLINE_RUN;
}

void cmdline_help(const struct cmdline *cmdline)
{
	struct table table;

	make_table(cmdline, &table);
	argp_help(&table.argp, stdout,
		  ARGP_HELP_SHORT_USAGE | ARGP_HELP_PRE_DOC | ARGP_HELP_LONG,
		  (char *)cmdline->program);
}
