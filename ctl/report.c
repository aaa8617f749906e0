#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "cmd.h"
#include "options.h"
#include "report.h"
#include "run.h"

#define TAR_NS (60 * NS_PER_S)

static struct {
	const char *output;
	bool with_addresses;
} args;

static const struct option_spec options[] = {
	{ .name = "output",
	  .metavar = "FILE",
	  .kind = OPTION_TEXT,
	  .help = "the archive (default rswap-report-DATE-TIME.tar.gz)",
	  .out.text = &args.output },
	{ .name = "with-addresses",
	  .kind = OPTION_FLAG,
	  .help = "leave addresses and names of machines in it",
	  .out.flag = &args.with_addresses },
	{ .name = NULL },
};

static const struct cmdline cmdline = {
	.program = "rswapctl report",
	.args = "[NAME|SOCKET]...",
	.about = "Make an archive for a bug report, and list what is in it: "
		 "status, events, findings, logs, versions, and settings of "
		 "this machine.  Keys are never in it.  Addresses and names of "
		 "machines are replaced by numbers.",
	.options = options,
};

static char directory[] = "/tmp/rswap-report.XXXXXX";

/* "rswap-report-20261129-161321": the directory in the archive */
static char top[64];

struct path {
	char text[PATH_MAX];
};

static struct path path_of(const char *file)
{
	struct path path;

	snprintf(path.text, sizeof path.text, "%s/%s%s%s", directory, top,
		 *file ? "/" : "", file);
	return path;
}

static void remove_directory(void)
{
	for (const struct report_part *p = report_parts; p->file; p++)
		unlink(path_of(p->file).text);
	rmdir(path_of("").text);
	rmdir(directory);
}

__attribute__((noreturn, format(printf, 1, 2))) static void
die(const char *format, ...)
{
	va_list list;

	remove_directory();
	fprintf(stderr, "rswapctl report: ");
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(EXIT_FAILED);
}

static void make_directory(void)
{
	time_t now = time(NULL);
	struct tm tm;

	strftime(top, sizeof top, "rswap-report-%Y%m%d-%H%M%S",
		 localtime_r(&now, &tm));
	umask(077);
	if (!mkdtemp(directory) || mkdir(path_of("").text, 0700))
		die("%s: can't be made: %s", directory, strerror(errno));
}

/* Writes the part, and lists it. */
static void write_part(const struct report_part *part, struct report *report)
{
	struct path path = path_of(part->file);

	report->out = fopen(path.text, "we");
	if (!report->out)
		die("%s: can't be written: %s", path.text, strerror(errno));
	part->write(report);
	if (ferror(report->out) | fclose(report->out))
		die("%s: can't be written: %s", path.text, strerror(errno));
	if (run_interrupted())
		die("interrupted");
	printf("  %-16s %s\n", part->file, part->about);
}

/* tar takes a name for another machine's where a colon comes before any slash,
 * and "-" for standard output. */
static void make_archive(const char *output)
{
	char file[PATH_MAX + 2];
	const char *argv[] = {
		"tar",	     "--create",	"--gzip",  "--file",
		file,	     "--directory",	directory, "--owner=0",
		"--group=0", "--numeric-owner", top,	   NULL
	};
	struct error why;

	snprintf(file, sizeof file, "%s%s", *output == '/' ? "" : "./", output);
	if (run_must(argv, clock_now_ns() + TAR_NS, &why))
		die("%s: can't be written: %s", output, why.text);
}

int cmd_report(int argc, char **argv)
{
	int words = options_parse(&cmdline, argc, argv);
	char usual[sizeof top + 8];
	const char *output = args.output;
	struct report report;

	run_catch_signals();
	report_begin(&report, &cmdline, argv, words, args.with_addresses);
	make_directory();
	snprintf(usual, sizeof usual, "%s.tar.gz", top);
	output = output ? output : usual;
	if (access(output, F_OK) == 0)
		die("--output=%s: allowed is a file that does not exist",
		    output);
	for (const struct report_part *p = report_parts; p->file; p++)
		write_part(p, &report);
	make_archive(output);
	remove_directory();
	report_end(&report);
	printf("%s: keys %s replaced; read it before you send it\n", output,
	       args.with_addresses
		       ? "are"
		       : "and the addresses and names of machines are");
	return EXIT_OK;
}
