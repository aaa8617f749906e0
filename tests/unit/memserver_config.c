/* The memory server's options: what is taken, and the one line that each wrong
 * one gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "times.h"

#define ARGS_MAX 24

static struct config config;
static struct cmdline_error why;

/* Parses the words given, up to a NULL. */
static enum cmdline_verdict parse(const char *first, ...)
{
	static char program[] = "rswap-memserver";
	char *argv[ARGS_MAX] = { program };
	char *words[ARGS_MAX]; /* the parser moves those in argv */
	int argc = 1;
	va_list args;

	va_start(args, first);
	for (const char *word = first; word; word = va_arg(args, const char *))
		argv[argc++] = strdup(word);
	va_end(args);
	memcpy(words, argv, sizeof words);

	enum cmdline_verdict verdict = config_parse(argc, argv, &config, &why);

	while (argc > 1)
		free(words[--argc]);
	return verdict;
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory=1G", NULL), CMDLINE_RUN);
	assert_int_equal(config.memory_bytes, 1ull << 30);
	assert_int_equal(config.slab_bytes, 2 << 20);
	assert_null(config.only);
	assert_int_equal(config.listen_count, 1);
	assert_string_equal(config.listen[0].host, "127.0.0.1");
	assert_int_equal(config.listen[0].port, 10909);
	assert_int_equal(config.max_sessions, 256);
	assert_int_equal(config.stock, 16);
	assert_int_equal(config.grace_s, TIMES_GRACE_S);
	assert_int_equal(config.reclaim_percent, 0);
	assert_string_equal(config.psi_path, "/proc/pressure/memory");
	assert_string_equal(config.zone, "");
	assert_true(config.threads >= 1);
	assert_false(config.hugepages);
	assert_null(config.control);
	assert_null(config.user);
	assert_false(config.no_seccomp);
}

static void everything(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory", "100M", "--slab-size=16m",
			       "--listen=10.0.0.1", "--listen=[::1]:0",
			       "--transport=tcp", "--hugepages", "--threads=3",
			       "--max-sessions=7", "--stock=0",
			       "--port-file=ports", "--grace=0", "--reclaim=25",
			       "--zone=rack-7", "--user=nobody", "--no-seccomp",
			       NULL),
			 CMDLINE_RUN);
	assert_int_equal(config.memory_asked_bytes, 100 << 20);
	assert_int_equal(config.memory_bytes, 96 << 20);
	assert_int_equal(config.listen_count, 2);
	assert_string_equal(config.listen[1].host, "::1");
	assert_int_equal(config.listen[1].port, 0);
	assert_string_equal(config.only->name, "tcp");
	assert_true(config.hugepages);
	assert_int_equal(config.threads, 3);
	assert_int_equal(config.max_sessions, 7);
	assert_int_equal(config.stock, 0);
	assert_int_equal(config.grace_s, 0);
	assert_int_equal(config.reclaim_percent, 25);
	assert_string_equal(config.zone, "rack-7");
	assert_non_null(config.user); /* the word itself is freed */
	assert_true(config.no_seccomp);
}

static void keys_or_everybody(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory=1G", "--psk-file=/k", NULL),
			 CMDLINE_RUN);
	assert_non_null(config.psk_file); /* freed with argv */
	assert_false(config.allow_unauthenticated);
	assert_int_equal(parse("--memory=1G", "--allow-unauthenticated", NULL),
			 CMDLINE_RUN);
	assert_null(config.psk_file);
	assert_true(config.allow_unauthenticated);
	assert_int_equal(parse("--memory=1G", "--allow-unauthenticated",
			       "--psk-file=/k", NULL),
			 CMDLINE_WRONG);
	assert_non_null(strstr(why.text, "--psk-file"));
	assert_non_null(strstr(why.text, "one of them"));
}

static void slab_size_may_come_last(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory=8M", "--slab-size=4M", NULL),
			 CMDLINE_RUN);
	assert_int_equal(config.memory_bytes, 8 << 20);
}

static void help_and_version(void **state)
{
	(void)state;
	assert_int_equal(parse("--help", NULL), CMDLINE_HELP);
	assert_int_equal(parse("--version", NULL), CMDLINE_VERSION);
	/* written in full, as all options */
	assert_int_equal(parse("--hel", NULL), CMDLINE_WRONG);
	assert_int_equal(parse("--vers", NULL), CMDLINE_WRONG);
}

/* The line names the option, and the value where there is one. */
static void assert_refused(const char *word, const char *says)
{
	assert_int_equal(parse("--memory=1G", word, NULL), CMDLINE_WRONG);
	if (!strstr(why.text, says))
		fail_msg("%s: \"%s\" does not say \"%s\"", word, why.text,
			 says);
	if (!strstr(why.text, word))
		fail_msg("%s: not in \"%s\"", word, why.text);
	assert_null(strchr(why.text, '\n'));
}

static void wrong_values(void **state)
{
	(void)state;
	assert_refused("--memory=0", "a size");
	assert_refused("--memory=", "a size");
	assert_refused("--memory=12X", "a size");
	assert_refused("--memory=2000T", "a size");
	assert_refused("--slab-size=3M", "power of two from 1M to 1G");
	assert_refused("--slab-size=512K", "power of two from 1M to 1G");
	assert_refused("--slab-size=2G", "power of two from 1M to 1G");
	assert_refused("--transport=ib", "one of auto|rdma|tcp");
	assert_refused("--threads=0", "from 1 to 256");
	assert_refused("--threads=many", "from 1 to 256");
	assert_refused("--max-sessions=0", "a number from 1");
	assert_refused("--stock=-1", "a number from 0");
	assert_refused("--grace=3601", "from 0 to 3600");
	assert_refused("--grace=1m", "from 0 to 3600");
	assert_refused("--reclaim=101", "from 0 to 100");
	assert_refused("--reclaim=5%", "from 0 to 100");
	assert_refused("--zone=", "1 to 31 printable");
	assert_refused("--zone=12345678901234567890123456789012",
		       "1 to 31 printable");
	assert_refused("--zone=a\tb", "1 to 31 printable");
	assert_refused("--zone=rack 7", "without spaces");
	assert_refused("--zone=a\xc2\x9b", "1 to 31 printable");
	assert_refused("--listen=", "HOST");
	assert_refused("--listen=h:70000", "HOST");
	assert_refused("--port-file=", "any text but an empty one");
	assert_refused("--pidfile=", "any text but an empty one");
	assert_refused("--control=", "any text but an empty one");
	assert_refused("--hugepages=yes", "without a value");
	assert_refused("--help=yes", "without a value");
	assert_refused("--thread=3", "no such option");
	assert_refused("--=", "no such option");
	assert_refused("-t", "no such option");
	assert_refused("-tx", "no such option");
	assert_refused("--nonsense", "no such option");
	assert_refused("word", "options only");
	assert_refused("--listen", "a value is missing");
}

static void large_slabs_have_a_small_stock(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory=1G", "--slab-size=1M", NULL),
			 CMDLINE_RUN);
	assert_int_equal(config.stock, 32);
	assert_int_equal(parse("--memory=1G", "--slab-size=64M", NULL),
			 CMDLINE_RUN);
	assert_int_equal(config.stock, 2);
	assert_int_equal(
		parse("--memory=1G", "--slab-size=64M", "--stock=9", NULL),
		CMDLINE_RUN);
	assert_int_equal(config.stock, 9);
}

static void memory_must_be_given_and_enough(void **state)
{
	(void)state;
	assert_int_equal(parse(NULL), CMDLINE_WRONG);
	assert_non_null(strstr(why.text, "--memory"));
	assert_int_equal(parse("--memory=1M", NULL), CMDLINE_WRONG);
	assert_non_null(strstr(why.text, "at least one slab (2M)"));
}

static void too_many_addresses(void **state)
{
	(void)state;
	assert_int_equal(parse("--memory=1G", "--listen=a", "--listen=b",
			       "--listen=c", "--listen=d", "--listen=e",
			       "--listen=f", "--listen=g", "--listen=h",
			       "--listen=i", "--listen=j", "--listen=k",
			       "--listen=l", "--listen=m", "--listen=n",
			       "--listen=o", "--listen=p", "--listen=q", NULL),
			 CMDLINE_WRONG);
	assert_non_null(strstr(why.text,
			       "--listen=q: allowed is this option 16 times"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(everything),
		cmocka_unit_test(keys_or_everybody),
		cmocka_unit_test(slab_size_may_come_last),
		cmocka_unit_test(help_and_version),
		cmocka_unit_test(wrong_values),
		cmocka_unit_test(large_slabs_have_a_small_stock),
		cmocka_unit_test(memory_must_be_given_and_enough),
		cmocka_unit_test(too_many_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
