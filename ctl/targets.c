#include "targets.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"

static void take_name(struct target *target, const char *name)
{
	struct error ignored;

	snprintf(target->text, sizeof target->text, "%s", name);
	target->path = statedir_path(name, "control.sock");
	target->name = target->text;
	target->socket = target->path.text;
	target->state = NULL;
	if (statedir_load(name, &target->saved, &ignored) < 0)
		return;
	statedir_recall(&target->saved);
	target->state = &target->saved;
}

static void take_word(const struct cmdline *cmdline, const char *word,
		      struct target *target)
{
	if (strchr(word, '/'))
		*target = (struct target){ .name = word, .socket = word };
	else if (statedir_name_ok(word))
		take_name(target, word);
	else
		options_die(cmdline,
			    "%s: allowed is a NAME, or the path of a "
			    "SOCKET",
			    word);
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
		take_word(cmdline, words[n], &targets[n]);
	if (n_words == 0) {
		int attached = statedir_list(names, TARGETS_MAX - 1);

		for (; n < attached; n++)
			take_name(&targets[n], names[n]);
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

struct json_object *target_ask(const struct target *target, struct error *why)
{
	static struct json_object *answer;

	answer_put(answer);
	answer = answer_ask(target->socket, "status", why);
	return answer;
}
