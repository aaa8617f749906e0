#include "options.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "size.h"

void options_die(const struct usage *usage, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "rswapctl %.*s: ", (int)strcspn(usage->synopsis, " "),
		usage->synopsis);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILED);
}

/* What is allowed, where the metavar doesn't tell. */
static void print_range(const struct option_spec *o)
{
	if (o->kind == OPTION_NUMBER)
		printf(", %" PRIu64 " to %" PRIu64, o->min, o->max);
	else if (o->kind == OPTION_SIZE)
		printf(", %s to %s", size_format(o->min).text,
		       size_format(o->max).text);
	else if (o->kind == OPTION_KEY && o->metavar)
		fputs(key_range(o->key).text, stdout);
}

static void print_help(const struct usage *usage)
{
	printf("Usage: rswapctl %s\n%s\n\n", usage->synopsis, usage->about);
	for (const struct option_spec *o = usage->options; o->name; o++) {
		char left[40];

		snprintf(left, sizeof left, "--%s%s%s", o->name,
			 o->metavar ? "=" : "", o->metavar ? o->metavar : "");
		printf("  %-28s %s", left, o->help);
		print_range(o);
		putchar('\n');
	}
	printf("  %-28s %s\n", "--help", "show this and exit");
}

static const struct option_spec *find(const struct usage *usage,
				      const char *name, size_t length)
{
	for (const struct option_spec *o = usage->options; o->name; o++) {
		if (strlen(o->name) == length &&
		    strncmp(o->name, name, length) == 0)
			return o;
	}
	return NULL;
}

__attribute__((noreturn)) static void no_such_option(const struct usage *usage,
						     const char *word)
{
	char allowed[512] = "";
	size_t used = 0;

	for (const struct option_spec *o = usage->options;
	     o->name && used < sizeof allowed; o++)
		used += (size_t)snprintf(allowed + used, sizeof allowed - used,
					 "--%s, ", o->name);
	options_die(usage, "%s: no such option; allowed are %s--help", word,
		    allowed);
}

/* Whether VALUE is one of "a|b|c". */
static bool is_choice(const char *choices, const char *value)
{
	size_t length = strlen(value);

	for (const char *c = choices; *c; c += strcspn(c, "|")) {
		c += *c == '|';
		if (strcspn(c, "|") == length && !strncmp(c, value, length))
			return length > 0;
	}
	return false;
}

static void take_size(const struct usage *usage, const struct option_spec *o,
		      const char *value)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes) || bytes < o->min || bytes > o->max)
		options_die(usage,
			    "--%s=%s: allowed is a size from %s to %s, "
			    "with K, M, G or T",
			    o->name, value, size_format(o->min).text,
			    size_format(o->max).text);
	*o->out.number = bytes;
}

static void take_key(const struct usage *usage, const struct option_spec *o,
		     const char *value)
{
	uint64_t number;

	if (!key_parse(o->key, value, &number))
		options_die(usage, "--%s=%s: allowed is %s", o->name, value,
			    key_allowed(o->key).text);
	*o->out.text = value;
}

static void take_value(const struct usage *usage, const struct option_spec *o,
		       const char *value)
{
	switch (o->kind) {
	case OPTION_FLAG:
		*o->out.flag = true;
		return;
	case OPTION_TEXT:
		if (!*value)
			options_die(usage,
				    "--%s=: allowed is any %s but an "
				    "empty one",
				    o->name, o->metavar);
		*o->out.text = value;
		return;
	case OPTION_CHOICE:
		if (!is_choice(o->choices, value))
			options_die(usage, "--%s=%s: allowed is one of %s",
				    o->name, value, o->choices);
		*o->out.text = value;
		return;
	case OPTION_NUMBER:
		if (!number_parse(value, o->min, o->max, o->out.number))
			options_die(usage,
				    "--%s=%s: allowed is a number from "
				    "%" PRIu64 " to %" PRIu64,
				    o->name, value, o->min, o->max);
		return;
	case OPTION_SIZE:
		take_size(usage, o, value);
		return;
	case OPTION_KEY:
		take_key(usage, o, value ? value : "on");
		return;
	}
}

/* Takes the option at *ARG, and the next argument where that is its value;
 * returns how many arguments these were. */
static int take_option(const struct usage *usage, char **arg)
{
	const char *name = *arg + 2;
	size_t length = strcspn(name, "=");
	bool is_long = !strncmp(*arg, "--", 2);
	const struct option_spec *o = find(usage, name, length);
	const char *value = name[length] ? name + length + 1 : NULL;

	if (!strcmp(*arg, "--help")) {
		print_help(usage);
		exit(EXIT_OK);
	}
	if (!is_long || !o)
		no_such_option(usage, *arg);
	if (!o->metavar) {
		if (value)
			options_die(usage,
				    "%s: allowed is --%s without a "
				    "value",
				    *arg, o->name);
		take_value(usage, o, NULL);
		return 1;
	}
	if (value) {
		take_value(usage, o, value);
		return 1;
	}
	if (!arg[1])
		options_die(usage,
			    "--%s: a value is missing; allowed is "
			    "--%s=%s",
			    o->name, o->name, o->metavar);
	take_value(usage, o, arg[1]);
	return 2;
}

int options_parse(const struct usage *usage, int argc, char **argv)
{
	bool only_words = false;
	int words = 0;

	for (int i = 1; i < argc;) {
		if (only_words || argv[i][0] != '-' || !argv[i][1]) {
			argv[words++] = argv[i++];
		} else if (!strcmp(argv[i], "--")) {
			only_words = true;
			i++;
		} else {
			i += take_option(usage, &argv[i]);
		}
	}
	argv[words] = NULL;
	return words;
}
