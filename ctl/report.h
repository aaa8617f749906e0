/* The parts of an archive for a bug report.  Each part is a file, written
 * through a struct redact. */
#ifndef RSWAPCTL_REPORT_H
#define RSWAPCTL_REPORT_H

#include <stdio.h>

#include "redact.h"
#include "targets.h"

/* The configuration of the units, as patterns of glob(3) with braces. */
#define REPORT_CONFIG_FILES "/etc/rswap/{*.conf,*.conf.d/*.conf}"
#define REPORT_SERVER_FILE  "/etc/default/rswap-memserver"

struct report {
	char **words; /* of the command line */
	int n_words;
	struct target *targets;
	int n_targets;
	struct redact *redact;
	FILE *out; /* of the part that is being written */
};

struct report_part {
	const char *file;
	const char *about; /* what it is made of */
	/* What cannot be had is said in the file. */
	void (*write)(struct report *report);
};

/* Ends with one that has no file. */
extern const struct report_part report_parts[];

/* Finds the targets that the words name, and the hosts that they know. */
void report_begin(struct report *report, const struct cmdline *cmdline,
		  char **words, int n_words, bool with_addresses);
void report_end(struct report *report);

/* Tells R's redact what hosts there are (report_hosts.c): this machine, and
 * what the targets and the configuration name. */
void report_know_hosts(const struct report *r);

/* The same of hosts that a log names. */
void report_know_text(const struct report *r, const char *text);

#endif
