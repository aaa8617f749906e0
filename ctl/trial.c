#include "trial.h"

#include <errno.h>
#include <libnbd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "answer.h"
#include "child.h"
#include "clock.h"
#include "daemon.h"
#include "front.h"
#include "net.h"
#include "options.h"
#include "run.h"
#include "size.h"
#include "wire.h"

/* The front end gives its servers 30 seconds at most. */
#define READY_NS (40 * NS_PER_S)
#define END_NS	 (10 * NS_PER_S)

/* --- what is asked for --- */

static void take_server(const struct cmdline *cmdline,
			struct trial_order *order, char *word)
{
	struct net_name name;
	struct error why;

	if (order->n_servers == TRIAL_SERVERS_MAX)
		options_die(cmdline, "SERVER %s: allowed are 1 to %d", word,
			    TRIAL_SERVERS_MAX);
	if (!net_name_parse(word, WIRE_DEFAULT_PORT, &name, &why))
		options_die(cmdline, "SERVER %s: %s; allowed is HOST[:PORT]",
			    word, why.text);
	if (name.port == 0)
		options_die(cmdline,
			    "SERVER %s: allowed is a PORT from 1 to 65535",
			    word);
	order->servers[order->n_servers++] = word;
}

/* The key that WORD gives a VALUE, or NULL. */
static const struct key *key_of(const char *word, const char **value)
{
	size_t n = strcspn(word, "=");
	char name[40];

	if (!word[n])
		return NULL;
	snprintf(name, sizeof name, "%.*s", (int)n, word);
	*value = word + n + 1;
	return key_find(name);
}

void trial_take_word(const struct cmdline *cmdline, struct trial_order *order,
		     char *word)
{
	const char *value;
	const struct key *key = key_of(word, &value);
	uint64_t number;

	if (!strchr(word, '=')) {
		take_server(cmdline, order, word);
		return;
	}
	if (!key || key == &keys[KEY_CONTROL]) {
		char names[320];

		keys_names(", ", names, sizeof names);
		options_die(cmdline, "%s: allowed are the keys %s, but for %s",
			    word, names, keys[KEY_CONTROL].name);
	}
	if (!key_parse(key, value, &number))
		options_die(cmdline, "%s: allowed is %s", word,
			    key_allowed(key).text);
	if (key == &keys[KEY_SERVER])
		take_server(cmdline, order, strchr(word, '=') + 1);
	else if (key == &keys[KEY_SIZE])
		order->size_bytes = number;
	else
		order->keys[key - keys] = value;
}

/* Two devices must not write to one file, nor listen on one port.  A second
 * reservation would take memory of the pool from others, or be refused. */
static bool may_share(const struct key *key)
{
	return key != &keys[KEY_CONTROL] && key != &keys[KEY_METRICS] &&
	       key != &keys[KEY_SIZE] && key != &keys[KEY_FALLBACK] &&
	       key != &keys[KEY_FALLBACK_SIZE] &&
	       key != &keys[KEY_POOL_STATE] && key != &keys[KEY_POOL_RESERVE];
}

int trial_take_front(struct trial_order *order, pid_t pid, struct error *why)
{
	static char text[32768];
	char path[40];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
	f = fopen(path, "re");
	if (!f) {
		error_set(why, "%s: %s", path, strerror(errno));
		return -1;
	}
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	for (char *word = text; word < text + n; word += strlen(word) + 1) {
		const char *value;
		const struct key *key = key_of(word, &value);

		if (key == &keys[KEY_SERVER] &&
		    order->n_servers < TRIAL_SERVERS_MAX)
			order->servers[order->n_servers++] =
				word + (value - word);
		else if (key && key != &keys[KEY_SERVER] && may_share(key))
			order->keys[key - keys] = value;
	}
	if (order->n_servers || order->keys[KEY_POOL])
		return 0;
	error_set(why, "process %d names no server and no pool", (int)pid);
	return -1;
}

/* --- the front end --- */

struct trial_path {
	char text[TRIAL_PATH_MAX + 16];
};

static struct trial_path path_of(const struct trial *trial, const char *file)
{
	struct trial_path path;

	snprintf(path.text, sizeof path.text, "%s/%s", trial->dir, file);
	return path;
}

static int make_directory(struct trial *trial, struct error *why)
{
	const char *parent = getenv("TMPDIR");
	int n = snprintf(trial->dir, sizeof trial->dir, "%s/rswap-XXXXXX",
			 parent && *parent ? parent : "/tmp");

	if ((size_t)n >= sizeof trial->dir)
		error_set(why, "TMPDIR=%.100s: allowed is a path of %zu bytes",
			  parent, sizeof trial->dir - strlen("/rswap-XXXXXX"));
	else if (!mkdtemp(trial->dir))
		error_set(why, "%s: %s", trial->dir, strerror(errno));
	else
		return 0;
	trial->dir[0] = '\0';
	return -1;
}

static pid_t start(const struct trial_order *order, const struct trial *trial,
		   const struct driver_link *link, struct error *why)
{
	const struct front_order front_order = {
		.servers = (char **)order->servers,
		.n_servers = order->n_servers,
		.keys = order->keys,
		.link = link,
	};
	struct trial_path log = path_of(trial, "log");
	struct child_spec spec = { .output_fd = -1, .log = log.text };
	struct argvec args;
	struct front_path path;

	if (!front_find(&front_nbd, &path)) {
		error_set(why, "%s is not installed", front_nbd.program);
		return -1;
	}
	front_command(&front_nbd, &path, &front_order, &args);
	/* it does not outlive anything: no program swaps to it */
	args.argv[0] += args.argv[0][0] == CHILD_SURVIVES;
	spec.argv = args.argv;
	return child_start(&spec, why);
}

/* The last line of the log, which tells why the front end has ended. */
static void read_reason(const struct trial *trial, struct error *why)
{
	FILE *f = fopen(path_of(trial, "log").text, "re");
	char text[4096];
	const char *line;
	size_t n;

	if (!f)
		return;
	if (fseek(f, 1 - (long)sizeof text, SEEK_END) < 0)
		rewind(f);
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	line = run_last_line(text);
	if (!strncmp(line, "rswap-nbd: ", strlen("rswap-nbd: ")))
		line += strlen("rswap-nbd: ");
	if (*line)
		error_set(why, "%s", line);
}

static int serve(const struct trial_order *order, struct trial *trial,
		 struct error *why)
{
	struct trial_path socket = path_of(trial, "nbd.sock");
	struct trial_path control = path_of(trial, "control.sock");
	struct trial_path pidfile = path_of(trial, "pid");
	const struct driver_link link = { .program = front_nbd.program,
					  .socket = socket.text,
					  .control = control.text,
					  .pidfile = pidfile.text,
					  .size_bytes = order->size_bytes };

	trial->pid = start(order, trial, &link, why);
	if (trial->pid < 0)
		return -1;
	if (daemon_wait_ready(&front_nbd, trial->pid, &link,
			      clock_now_ns() + READY_NS, why) < 0) {
		if (!run_interrupted())
			read_reason(trial, why);
		return -1;
	}
	trial->nbd = nbd_create();
	if (trial->nbd && nbd_connect_unix(trial->nbd, socket.text) == 0)
		return 0;
	error_set(why, "%s", nbd_get_error());
	return -1;
}

int trial_begin(const struct trial_order *order, struct trial *trial,
		struct error *why)
{
	*trial = (struct trial){ .dir = "" };
	if (make_directory(trial, why) == 0 && serve(order, trial, why) == 0)
		return 0;
	trial_end(trial);
	return -1;
}

void trial_end(struct trial *trial)
{
	static const char *const files[] = { "nbd.sock", "control.sock", "pid",
					     "log" };
	/* a child's pid is not used again before it was waited for */
	uint64_t start = run_start_time(trial->pid);

	if (trial->nbd) {
		nbd_shutdown(trial->nbd, 0);
		nbd_close(trial->nbd);
	}
	if (trial->pid > 0 &&
	    !daemon_stop(trial->pid, start, SIGTERM, clock_now_ns() + END_NS))
		daemon_kill(trial->pid, start);
	for (size_t i = 0; *trial->dir && i < sizeof files / sizeof files[0];
	     i++)
		unlink(path_of(trial, files[i]).text);
	if (*trial->dir)
		rmdir(trial->dir);
	*trial = (struct trial){ .dir = "" };
}

struct json_object *trial_status(const struct trial *trial, struct error *why)
{
	return answer_ask(path_of(trial, "control.sock").text, "status", why);
}
