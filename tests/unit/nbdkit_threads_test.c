/* plugin/nbdkit_threads.c: what nbdkit's command line says of its threads. */
#include "nbdkit_threads.h"
#include "support.h"

#include <string.h>

/* The words of LINE, separated by one space, as /proc/self/cmdline has them. */
static unsigned threads_of(const char *line)
{
	char words[256];
	size_t bytes = strlen(line) + 1;

	assert_true(bytes <= sizeof words);
	memcpy(words, line, bytes);
	for (char *p = words; p < words + bytes; p++) {
		if (*p == ' ')
			*p = '\0';
	}
	return nbdkit_threads_of(words, bytes);
}

static void without_the_option_it_is_nbdkits_default(void **state)
{
	static const char *const lines[] = {
		"nbdkit",
		"nbdkit -f -U /run/sock rswap size=1G",
		"nbdkit --tls=off --tls off rswap size=1G",
		"nbdkit -t 0 rswap",
		"nbdkit -f rswap -- -t 4",
		"-t 4",
		"nbdkit -P -t32 -U t8 rswap",
		"nbdkit -fU -t9 rswap",
		"nbdkit rswap psk-file=/etc/-t5 -t",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_int_equal(threads_of(lines[i]), 16);
}

static void every_form_of_the_option_is_taken(void **state)
{
	static const char *const lines[] = {
		"nbdkit -t 32 rswap",	      "nbdkit -t32 rswap",
		"nbdkit -ft 32 rswap",	      "nbdkit -fvt32 rswap",
		"nbdkit --threads=32 rswap",  "nbdkit --threads 32 rswap",
		"nbdkit --th=32 rswap",	      "nbdkit --thread 32 rswap",
		"nbdkit -t 0x20 rswap",	      "nbdkit rswap size=1G -t 32",
		"nbdkit -t 4 --threads 32 x", "nbdkit -U /run/t4 -t 32 rswap",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_int_equal(threads_of(lines[i]), 32);
}

static void a_line_that_is_cut_off_ends_at_its_last_word(void **state)
{
	static const char cut[] = "nbdkit\0-t\0"
				  "8\0-t\0"
				  "32";

	(void)state;
	assert_int_equal(nbdkit_threads_of(cut, sizeof cut - 1), 8);
	assert_int_equal(nbdkit_threads_of(cut, 0), 16);
}

static void the_process_itself_has_no_such_option(void **state)
{
	(void)state;
	assert_int_equal(nbdkit_threads(), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_option_it_is_nbdkits_default),
		cmocka_unit_test(every_form_of_the_option_is_taken),
		cmocka_unit_test(a_line_that_is_cut_off_ends_at_its_last_word),
		cmocka_unit_test(the_process_itself_has_no_such_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
