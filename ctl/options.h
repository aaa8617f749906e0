/* Command lines of rswapctl.  A wrong option or value ends the program with
 * exit status 1 and one line that names the option, the value, and what is
 * allowed. */
#ifndef RSWAPCTL_OPTIONS_H
#define RSWAPCTL_OPTIONS_H

#include "cmdline.h"

/* Takes the options out of ARGV; --help prints the usage and exits.  The other
 * arguments stand at argv[0] to argv[returned - 1], with NULL after them. */
int options_parse(const struct cmdline *cmdline, int argc, char **argv);

/* Prints "rswapctl CMD: " and one line, and exits 1. */
__attribute__((format(printf, 2, 3), noreturn)) void
options_die(const struct cmdline *cmdline, const char *format, ...);

#endif
