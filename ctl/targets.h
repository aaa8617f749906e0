/* What status and check look at: running plugins and the memory server of this
 * machine, by name or by the path of a control socket. */
#ifndef RSWAPCTL_TARGETS_H
#define RSWAPCTL_TARGETS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "options.h"
#include "statedir.h"

#define TARGETS_MAX	       512
#define TARGETS_DEFAULT_SERVER "/run/rswap-memserver/control.sock"

struct target {
	const char *name;
	const char *socket;
	/* As attach saved it; NULL: rswapctl did not attach it. */
	const struct state *state;
};

/* The WORDS of a command line, or without any all that rswapctl attached; then
 * the memory server: at SERVER, or where there are no words and SERVER is NULL
 * at its usual place, if it is there.  How many; their texts live as long as
 * the program.  Wrong words end the program. */
int targets_find(const struct cmdline *cmdline, char **words, int n_words,
		 const char *server, struct target targets[TARGETS_MAX]);

/* Its answer to "status", static, until the next call; or NULL. */
const char *target_ask(const struct target *target, struct error *why);

#endif
