/* The targets of status and check: running plugins and the memory server of
 * this machine, by name or by the path of a control socket. */
#ifndef RSWAPCTL_TARGETS_H
#define RSWAPCTL_TARGETS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "options.h"
#include "statedir.h"

#define TARGETS_MAX	       512
#define TARGETS_DEFAULT_SERVER "/run/rswap-memserver/control.sock"

struct json_object;

struct target {
	const char *name;
	const char *socket;
	/* As attach saved it; NULL: rswapctl did not attach it. */
	const struct state *state;

	/* Where these point to, unless the command line has them: a target is
	 * not copied. */
	char text[STATE_NAME_MAX + 1];
	struct state_path path;
	struct state saved;
};

/* The targets that the WORDS of a command line name; without words, all devices
 * that rswapctl attached.  The memory server at SERVER follows; if there are no
 * words and SERVER is NULL, the one at its usual place, if it is there.
 * Returns how many.  Wrong words end the program. */
int targets_find(const struct cmdline *cmdline, char **words, int n_words,
		 const char *server, struct target targets[TARGETS_MAX]);

/* The target's answer to "status", valid until the next call; or NULL. */
struct json_object *target_ask(const struct target *target, struct error *why);

#endif
