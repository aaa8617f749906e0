/* The command line of rswap-ublk: options, and the keys of service/config.h. */
#ifndef RSWAP_UBLK_OPTIONS_H
#define RSWAP_UBLK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "cmdline.h"
#include "service/config.h"

struct options {
	uint32_t id;	     /* --id, or UBLK_ANY_ID */
	uint16_t queues;     /* --queues */
	uint16_t depth;	     /* --depth */
	const char *pidfile; /* or NULL */
	bool delete; /* --delete: id is what is to be deleted, no more */
};

/* Texts point into ARGV.  As cmdline_parse. */
enum cmdline_verdict options_parse(int argc, char **argv,
				   struct options *options,
				   struct config *config,
				   struct cmdline_error *why);
/* Prints the answer to --help. */
void options_help(void);

#endif
