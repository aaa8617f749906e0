/* Command lines: one table per sub-command is both its parser and its --help.
 * A wrong option or value ends the program with exit status 1 and one line
 * that names the option, the value and what is allowed. */
#ifndef RSWAPCTL_OPTIONS_H
#define RSWAPCTL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "keys.h"

enum option_kind {
	OPTION_FLAG,   /* bool: given or not */
	OPTION_TEXT,   /* const char *: anything but nothing */
	OPTION_CHOICE, /* const char *: one of choices */
	OPTION_NUMBER, /* uint64_t: decimal, min to max */
	OPTION_SIZE,   /* uint64_t: bytes, with K, M, G or T, min to max */
	OPTION_KEY,    /* const char *: what a key of the plugin allows; "on"
			* without metavar */
};

struct option_spec {
	const char *name;    /* without the dashes; NULL ends a table */
	const char *metavar; /* NULL for a flag */
	const char *help;
	enum option_kind kind;
	const char *choices; /* OPTION_CHOICE: "auto|rdma|tcp" */
	uint64_t min, max;
	const struct key *key; /* OPTION_KEY */
	/* Where the value goes, typed as its kind says; untouched when the
	 * option isn't given. Texts point into argv. */
	union {
		bool *flag;
		const char **text;
		uint64_t *number;
	} out;
};

struct usage {
	const char *synopsis; /* "attach SERVER... --size=SIZE [OPTION]..." */
	const char *about;    /* a sentence or two */
	const struct option_spec *options;
};

/* Takes the options out of ARGV; --help prints the usage and exits. What is
 * left stands at argv[0] to argv[returned - 1], NULL after it. */
int options_parse(const struct usage *usage, int argc, char **argv);

/* Prints "rswapctl CMD: " and one line, and exits 1. */
__attribute__((format(printf, 2, 3), noreturn)) void
options_die(const struct usage *usage, const char *format, ...);

#endif
