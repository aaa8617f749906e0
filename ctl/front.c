#include "front.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "keys.h"
#include "run.h"
#include "size.h"

const struct front *const fronts[] = { &front_ublk, &front_nbd, &front_nbdkit,
				       NULL };

const struct front *front_by_name(const char *name)
{
	for (const struct front *const *f = fronts; *f; f++) {
		if (!strcmp((*f)->name, name))
			return *f;
	}
	return NULL;
}

/* The program in the directory of this one. */
static bool find_beside(const char *program, struct front_path *path)
{
	ssize_t n =
		readlink("/proc/self/exe", path->text, sizeof path->text - 1);

	while (n > 0 && path->text[n - 1] != '/')
		n--;
	if (n <= 0 || (size_t)n + strlen(program) >= sizeof path->text)
		return false;
	strcpy(path->text + n, program);
	return access(path->text, X_OK) == 0;
}

bool front_find(const struct front *front, struct front_path *path)
{
	return (front->ours && find_beside(front->program, path)) ||
	       run_find(front->program, path->text, sizeof path->text);
}

/* "rswap-nbd is not installed", or false if it can be used. */
static bool is_unusable(const struct front *front, struct error *why)
{
	struct front_path path;

	if (front_find(front, &path))
		return !front->driver->is_there(why);
	error_set(why, "%s is not installed", front->program);
	return true;
}

/* WHY gets the reasons against the better ones. */
static const struct front *choose_best(const struct driver *driver,
				       struct error *why)
{
	struct error against, all = { "" };
	size_t have = 0;

	for (const struct front *const *f = fronts; *f; f++) {
		if (driver && (*f)->driver != driver)
			continue;
		if (!is_unusable(*f, &against)) {
			error_set(why, "the best one here%s%.200s",
				  have ? ": " : "", all.text);
			return *f;
		}
		if (have < sizeof all.text)
			have += (size_t)snprintf(
				all.text + have, sizeof all.text - have, "%s%s",
				have ? ", " : "", against.text);
	}
	error_set(why, "there is no front end: %.200s", all.text);
	return NULL;
}

const struct front *front_choose(const struct front_wish *wish,
				 struct error *why)
{
	const struct front *front;
	bool any = !strcmp(wish->name, "auto");

	if (any && !wish->plugin)
		return choose_best(wish->driver, why);
	front = any ? &front_nbdkit : front_by_name(wish->name);
	if (wish->driver && front->driver != wish->driver) {
		error_set(why, "its devices are /dev/%sN",
			  front->driver->prefix);
		return NULL;
	}
	if (any)
		error_set(why, "a plugin was given");
	else
		error_set(why, "--front=%s", wish->name);
	return is_unusable(front, why) ? NULL : front;
}

/* At the machine's end the front end outlives the programs whose pages it has.
 *
 * Only the keys that were given: the engine has its own defaults, and checks
 * combinations.  The control socket comes first: front_find_process reads only
 * so much of a command line. */
void front_command(const struct front *front, const struct front_path *path,
		   const struct front_order *order, struct argvec *args)
{
	args->have = 0;
	args->argc = 0;
	argvec_add(args, "%c%s", CHILD_SURVIVES,
		   front->ours ? path->text : front->program);
	front->add_words(order, args);
	argvec_add(args, "control=%s", order->link->control);
	for (int i = 0; i < order->n_servers; i++)
		argvec_add(args, "server=%s", order->servers[i]);
	argvec_add(args, "size=%s", size_format(order->link->size_bytes).text);
	for (int id = 0; id < KEYS; id++) {
		if (order->keys[id])
			argvec_add(args, "%s=%s", keys[id].name,
				   order->keys[id]);
	}
}

pid_t front_find_process(const char *control, const struct front **front,
			 uint64_t *start)
{
	char word[PATH_MAX];
	pid_t pid = 0;

	snprintf(word, sizeof word, "control=%s", control);
	for (const struct front *const *f = fronts; *f && !pid; f++) {
		pid = run_find_process((*f)->program, word, start);
		if (pid)
			*front = *f;
	}
	return pid;
}
