/* The command line, checked. */
#ifndef RSWAP_MEMSERVER_CONFIG_H
#define RSWAP_MEMSERVER_CONFIG_H

#include "cmdline.h"
#include "server/settings.h"

/* Reads the options, and no file and no name service.  ARGV is as cmdline_parse
 * leaves it.  One thread at a time, any number of times. */
enum cmdline_verdict config_parse(int argc, char **argv, struct config *config,
				  struct cmdline_error *why);

/* Prints the answer to --help. */
void config_help(void);

#endif
