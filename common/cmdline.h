/* Command lines, by glibc's argp: one table is the parser and --help.  Options
 * are long, and are written in full: an abbreviation that works today would be
 * ambiguous once another option is added. */
#ifndef RSWAP_CMDLINE_H
#define RSWAP_CMDLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "keys.h"

enum option_kind {
	OPTION_FLAG,   /* given or not */
	OPTION_TEXT,   /* any text but an empty one */
	OPTION_CHOICE, /* one of choices */
	OPTION_NUMBER, /* decimal, min to max */
	OPTION_SIZE,   /* bytes, with K, M, G or T, min to max */
	OPTION_KEY,    /* as a key of the plugin; "on" without metavar */
	OPTION_OTHER,  /* as take says */
};

struct option_spec {
	const char *name;    /* without the dashes; NULL ends a table */
	const char *metavar; /* NULL for a flag */
	const char *help;    /* without range and preset */
	enum option_kind kind;
	const char *choices; /* OPTION_CHOICE: "auto|rdma|tcp" */
	uint64_t min, max;
	const char *preset;    /* the default's text, or NULL */
	const struct key *key; /* OPTION_KEY */
	/* Where the value goes; untouched when the option is not given.  Texts
	 * point into argv. */
	union {
		bool *flag;
		const char **text;
		unsigned *number;
		uint64_t *bytes;
		/* False with WHY, which tells what is allowed. */
		bool (*take)(const char *value, struct error *why);
	} out;
};

/* --help and --version are not in the table. */
struct cmdline {
	const char *program; /* "rswapctl attach" */
	const char *args;    /* "SERVER... --size=SIZE", for --help */
	const char *about;   /* a sentence or two */
	const struct option_spec *options;
	bool has_version;
};

#define CMDLINE_OPTIONS_MAX 40

enum cmdline_verdict {
	CMDLINE_RUN,
	CMDLINE_HELP,	 /* --help was asked for */
	CMDLINE_VERSION, /* --version was asked for */
	CMDLINE_WRONG,	 /* WHY names the option, the value, what is allowed */
};

/* One line, without a newline. */
struct cmdline_error {
	char text[600];
};

/* Takes the options after argv[0].  With CMDLINE_RUN the *N_WORDS arguments
 * that are no options stand at argv[0] and after, with NULL behind them. */
enum cmdline_verdict cmdline_parse(const struct cmdline *cmdline, int argc,
				   char **argv, int *n_words,
				   struct cmdline_error *why);

/* For a main function.  True if VERDICT is to run.  Otherwise it prints what
 * was asked for (HELP prints the answer to --help) or what is wrong, behind
 * PROGRAM's name, and *STATUS is the exit status. */
bool cmdline_runs(const char *program, enum cmdline_verdict verdict,
		  void (*help)(void), const struct cmdline_error *why,
		  int *status);

/* Prints the answer to --help to standard output. */
void cmdline_help(const struct cmdline *cmdline);

#endif
