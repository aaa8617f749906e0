/* The command line of rswap-nbd: options, and the keys of service/config.h. */
#ifndef RSWAP_NBD_OPTIONS_H
#define RSWAP_NBD_OPTIONS_H

#include "cmdline.h"
#include "service/config.h"

struct options {
	const char *socket;  /* --unix; required */
	const char *pidfile; /* or NULL */
};

/* Texts point into ARGV.  As cmdline_parse. */
enum cmdline_verdict options_parse(int argc, char **argv,
				   struct options *options,
				   struct config *config,
				   struct cmdline_error *why);
/* Prints the answer to --help. */
void options_help(void);

#endif
