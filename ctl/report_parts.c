#include "report.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "answer.h"
#include "clock.h"
#include "run.h"

/* The longest is status of hundreds of devices, five seconds each at worst. */
#define TOOL_NS (60 * NS_PER_S)

/* Of each tool's output the end, and of each file: status of a server with
 * thousands of sessions has megabytes; a log may have anything. */
#define TEXT_BYTES (8u << 20)
#define LOG_BYTES  (256u << 10)
#define LOG_LINES  "2000"

static char text[TEXT_BYTES];

/* --- what parts are made of --- */

static void say(const struct report *r, const char *what)
{
	redact_write(r->redact, what, r->out);
}

/* Of a text that was cut in front: half a key is not seen as one. */
static const char *whole_lines(const char *cut)
{
	const char *end = strchr(cut, '\n');

	return end ? end + 1 : "";
}

/* The output of a tool, its last lines if it is longer than SIZE. */
static void add_tool(const struct report *r, const char *const argv[],
		     size_t size)
{
	struct error why;
	int status;

	*text = '\0';
	status = run_tool(argv, clock_now_ns() + TOOL_NS, text, size, &why);
	say(r, text);
	if (status < 0) {
		say(r, why.text);
		fputc('\n', r->out);
	}
}

/* A sub-command of this program, for the targets that the report is about. */
static void add_own(const struct report *r, const char *command,
		    const char *const options[])
{
	const char *argv[TARGETS_MAX + 8] = { "/proc/self/exe", command };
	int n = 2;

	for (int i = 0; options[i]; i++)
		argv[n++] = options[i];
	for (int i = 0; i < r->n_words && i < TARGETS_MAX; i++)
		argv[n++] = r->words[i];
	add_tool(r, argv, sizeof text);
}

/* The end of a file, or NULL with errno.  NULs, as in a command line, become
 * spaces. */
static const char *read_end(const char *path, size_t size)
{
	FILE *f = fopen(path, "re");
	bool is_cut;
	size_t n;

	if (!f)
		return NULL;
	/* files of /proc have no size, and can't be read from their end */
	is_cut = fseek(f, 1 - (long)size, SEEK_END) == 0 && ftell(f) > 0;
	if (!is_cut)
		rewind(f);
	n = fread(text, 1, size - 1, f);
	fclose(f);
	for (size_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : ' ';
	text[n] = '\0';
	return is_cut ? whole_lines(text) : text;
}

static void add_file(const struct report *r, const char *path, size_t size)
{
	const char *end;

	fprintf(r->out, "==> ");
	say(r, path);
	fprintf(r->out, " <==\n");
	end = read_end(path, size);
	if (!end) {
		fprintf(r->out, "%m\n\n");
		return;
	}
	say(r, end);
	fputs("\n\n", r->out);
}

static void add_files(const struct report *r, const char *pattern)
{
	glob_t found;

	if (glob(pattern, GLOB_BRACE, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++)
			add_file(r, found.gl_pathv[i], LOG_BYTES);
	}
	globfree(&found);
}

/* --- the parts --- */

static void write_status(struct report *r)
{
	add_own(r, "status", (const char *const[]){ "--json", NULL });
}

static void write_events(struct report *r)
{
	add_own(r, "events", (const char *const[]){ "--json", NULL });
}

/* Failed requests are for the monitoring to tell. */
static void write_check(struct report *r)
{
	add_own(r, "check", (const char *const[]){ "--json", "--peek", NULL });
}

static void write_doctor(struct report *r)
{
	const char *const argv[] = { "/proc/self/exe", "doctor", NULL };

	add_tool(r, argv, sizeof text);
}

static void write_versions(struct report *r)
{
	static const char *const programs[] = {
		"/proc/self/exe",  "rswap-nbd", "rswap-ublk",
		"rswap-memserver", "nbdkit",	"systemctl"
	};
	struct utsname kernel;

	for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
		const char *const argv[] = { programs[i], "--version", NULL };

		add_tool(r, argv, LOG_BYTES);
	}
	/* the machine's name is left out */
	if (uname(&kernel) == 0)
		fprintf(r->out, "%s %s %s %s\n\n", kernel.sysname,
			kernel.release, kernel.version, kernel.machine);
	add_file(r, "/etc/os-release", LOG_BYTES);
}

static void add_process(const struct report *r, const char *name, pid_t pid)
{
	static const char *const files[] = { "cmdline", "status",
					     "limits",	"oom_score_adj",
					     "cgroup",	"wchan",
					     "stack" };
	char path[64];

	fprintf(r->out, "--- %s, process %d\n", name, (int)pid);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, files[i]);
		add_file(r, path, LOG_BYTES);
	}
}

static void write_processes(struct report *r)
{
	for (int i = 0; i < r->n_targets; i++) {
		const struct target *t = &r->targets[i];
		struct error why;
		struct json_object *answer = target_ask(t, &why);
		pid_t pid = (pid_t)answer_number(answer, "pid");

		if (!pid && t->state)
			pid = t->state->pid;
		if (pid)
			add_process(r, t->name, pid);
	}
}

/* How long the word of the kernel's command line at AT is: spaces within quotes
 * are part of a word. */
static size_t kernel_word(const char *at)
{
	bool quoted = false;
	size_t n = 0;

	for (; at[n] && (quoted || !strchr(" \t\n", at[n])); n++)
		quoted ^= at[n] == '"';
	return n;
}

/* Whether a word of the kernel's command line matters to rswap.  Others may be
 * passwords, and names of machines: systemd.set_credential=, nfsroot=, iSCSI.
 */
static bool concerns_rswap(const char *word)
{
	static const char *const begins[] = {
		"rswap=",      "zswap.",
		"psi=",	       "mem=",
		"hugepages",   "default_hugepagesz=",
		"cgroup",      "systemd.unified_cgroup_hierarchy",
		"resume=",     "nbd.",
		"ublk_drv.",   "transparent_hugepage=",
		"swapaccount="
	};

	for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
		if (!strncmp(word, begins[i], strlen(begins[i])))
			return true;
	}
	return false;
}

static void add_kernel_words(const struct report *r)
{
	const char *rest = read_end("/proc/cmdline", LOG_BYTES);
	unsigned left_out = 0;

	fprintf(r->out, "==> /proc/cmdline <==\n");
	while (rest && *(rest += strspn(rest, " \t\n"))) {
		size_t n = kernel_word(rest);
		char word[256];

		if (concerns_rswap(rest) && n < sizeof word) {
			snprintf(word, sizeof word, "%.*s", (int)n, rest);
			say(r, word);
			fputc('\n', r->out);
		} else {
			left_out++;
		}
		rest += n;
	}
	fprintf(r->out, "%u words that do not concern rswap are left out\n\n",
		left_out);
}

static void write_memory(struct report *r)
{
	static const char *const files[] = {
		"/proc/swaps",
		"/proc/meminfo",
		"/proc/vmstat",
		"/proc/pressure/memory",
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		add_file(r, files[i], LOG_BYTES);
	add_kernel_words(r);
}

/* "/proc/sys/vm/swappiness = 60" */
static void write_sysctl(struct report *r)
{
	char value[256];
	glob_t found;

	if (glob("/proc/sys/vm/*", 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			FILE *f = fopen(found.gl_pathv[i], "re");

			if (f && fgets(value, sizeof value, f))
				fprintf(r->out, "%s = %s", found.gl_pathv[i],
					value);
			if (f)
				fclose(f);
		}
	}
	globfree(&found);
}

static void write_config(struct report *r)
{
	add_files(r, REPORT_CONFIG_FILES);
	add_files(r, REPORT_SERVER_FILE);
}

/* The front ends' own logs, where they do not go to the journal, and what
 * attach keeps. */
static void write_logs(struct report *r)
{
	for (int i = 0; i < r->n_targets; i++) {
		const char *name = r->targets[i].name;

		if (!r->targets[i].state)
			continue;
		add_file(r, statedir_path(name, "state").text, LOG_BYTES);
		add_file(r, statedir_path(name, "log").text, LOG_BYTES);
	}
}

static const char *const journal[] = {
	"journalctl", "--no-pager", "--no-hostname",   "--output",
	"short-iso",  "--lines",    LOG_LINES,	       "--unit",
	"rswap@*",    "--unit",	    "rswap-memserver", NULL
};

static void write_journal(struct report *r)
{
	add_tool(r, journal, sizeof text);
}

/* Before any part is written: a name in one part may stand in another one. */
static void know_logs(const struct report *r)
{
	struct error ignored;

	*text = '\0';
	run_tool(journal, clock_now_ns() + TOOL_NS, text, sizeof text,
		 &ignored);
	report_know_text(r, text);
	for (int i = 0; i < r->n_targets; i++) {
		const char *name = r->targets[i].name, *log = NULL;

		if (r->targets[i].state)
			log = read_end(statedir_path(name, "log").text,
				       LOG_BYTES);
		if (log)
			report_know_text(r, log);
	}
}

static bool concerns_swap(const char *line)
{
	static const char *const words[] = {
		"swap",		 "nbd",	 "ublk",       "oom",
		"Out of memory", "rdma", "infiniband", "blocked for more"
	};

	/* the kernel tells its command line there (concerns_rswap) */
	if (strcasestr(line, "command line"))
		return false;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcasestr(line, words[i]))
			return true;
	}
	return false;
}

/* Of the kernel's log only what may concern swap. */
static void write_kernel(struct report *r)
{
	const char *const argv[] = { "dmesg", NULL };
	struct error why = { "" };
	char *rest = text;
	int status = run_tool(argv, clock_now_ns() + TOOL_NS, text, sizeof text,
			      &why);

	if (status)
		say(r, status < 0 ? why.text : text);
	while (!status && rest && *rest) {
		char *line = strsep(&rest, "\n");

		if (!concerns_swap(line))
			continue;
		say(r, line);
		fputc('\n', r->out);
	}
}

const struct report_part report_parts[] = {
	{ "status.json", "rswapctl status --json", write_status },
	{ "events.json", "rswapctl events --json", write_events },
	{ "check.json", "rswapctl check --json --peek", write_check },
	{ "doctor.txt", "rswapctl doctor", write_doctor },
	{ "versions.txt", "versions of rswap, nbdkit, systemd, kernel, system",
	  write_versions },
	{ "processes.txt",
	  "command lines, limits and state of front ends and memory server",
	  write_processes },
	{ "memory.txt",
	  "/proc/swaps, meminfo, vmstat, pressure, words of /proc/cmdline",
	  write_memory },
	{ "sysctl.txt", "/proc/sys/vm", write_sysctl },
	{ "config.txt", "/etc/rswap/*.conf, /etc/default/rswap-memserver",
	  write_config },
	{ "logs.txt", "the ends of the front ends' logs, and attach's states",
	  write_logs },
	{ "journal.txt", "the units' journal, " LOG_LINES " lines at most",
	  write_journal },
	{ "kernel.txt", "dmesg: lines on swap, nbd, ublk, RDMA, OOM",
	  write_kernel },
	{ NULL, NULL, NULL },
};

void report_begin(struct report *r, const struct cmdline *cmdline, char **words,
		  int n_words, bool with_addresses)
{
	static struct target targets[TARGETS_MAX];

	*r = (struct report){ .words = words,
			      .n_words = n_words,
			      .targets = targets,
			      .redact = redact_new(with_addresses) };
	if (!r->redact)
		options_die(cmdline, "out of memory");
	r->n_targets = targets_find(cmdline, words, n_words, NULL, targets);
	report_know_hosts(r);
	know_logs(r);
}

void report_end(struct report *r)
{
	redact_free(r->redact);
}
