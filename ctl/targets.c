#include "targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "ctlsock.h"

/* Targets are on this machine: one that takes longer is stuck. */
#define ANSWER_NS (5 * NS_PER_S)

__attribute__((noreturn)) static void out_of_memory(void)
{
	fprintf(stderr, "rswapctl: out of memory\n");
	exit(1);
}

/* These few texts are never freed. */
static const char *copy(const char *text)
{
	char *new = strdup(text);

	if (!new)
		out_of_memory();
	return new;
}

static struct target by_name(const char *name)
{
	struct target target = {
		.name = copy(name),
		.socket = copy(statedir_path(name, "control.sock").text),
	};
	struct state *state = malloc(sizeof *state);
	struct error ignored;

	if (!state)
		out_of_memory();
	if (statedir_load(name, state, &ignored) == 0) {
		statedir_recall(state);
		target.state = state;
	} else {
		free(state);
	}
	return target;
}

static struct target by_word(const struct cmdline *cmdline, const char *word)
{
	if (strchr(word, '/'))
		return (struct target){ .name = word, .socket = word };
	if (!statedir_name_ok(word))
		options_die(cmdline,
			    "%s: allowed is a NAME, or the path of a "
			    "SOCKET",
			    word);
	return by_name(word);
}

int targets_find(const struct cmdline *cmdline, char **words, int n_words,
		 const char *server, struct target targets[TARGETS_MAX])
{
	static char names[TARGETS_MAX - 1][STATE_NAME_MAX + 1];
	int n = 0;

	if (n_words > TARGETS_MAX - 1)
		options_die(cmdline, "%d names; allowed are %d", n_words,
			    TARGETS_MAX - 1);
	for (; n < n_words; n++)
		targets[n] = by_word(cmdline, words[n]);
	if (n_words == 0) {
		int attached = statedir_list(names, TARGETS_MAX - 1);

		for (; n < attached; n++)
			targets[n] = by_name(names[n]);
	}
	/* the usual server may be missing, the one that was asked for may not
	 */
	if (!server && n_words == 0 &&
	    access(TARGETS_DEFAULT_SERVER, F_OK) == 0)
		server = TARGETS_DEFAULT_SERVER;
	if (server)
		targets[n++] = (struct target){ .name = "memory server",
						.socket = server };
	return n;
}

const char *target_ask(const struct target *target, struct error *why)
{
	/* more than the largest answer, that of a server with 4096 sessions */
	static char answer[4 << 20];

	return ctlsock_ask(target->socket, "status", answer, sizeof answer,
			   clock_now_ns() + ANSWER_NS, why) < 0
		       ? NULL
		       : answer;
}
