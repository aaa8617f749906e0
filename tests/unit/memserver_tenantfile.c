/* Files of tenants: what they say, and the message for what is wrong. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support.h"
#include "tenants/tenantfile.h"

#define GIB (UINT64_C(1) << 30)

static struct tenantfile file;
static struct error why;

static int teardown(void **state)
{
	(void)state;
	tenantfile_free(&file);
	return 0;
}

static void parse(const char *text)
{
	why.text[0] = '\0';
	assert_int_equal(tenantfile_parse(text, strlen(text), &file, &why), 0);
}

static void assert_wrong(const char *text, const char *message)
{
	assert_int_equal(tenantfile_parse(text, strlen(text), &file, &why),
			 -EINVAL);
	assert_string_equal(why.text, message);
	assert_null(file.lines);
	assert_int_equal(file.n, 0);
}

static void a_line_says_what_a_tenant_may_have(void **state)
{
	const struct tenant_limits *limits;

	(void)state;
	parse("# who may have what\n"
	      "\n"
	      "web memory=64G guaranteed=16G sessions=4 lanes=64 weight=2\n"
	      "\tbatch \t weight=100 # the rest has no limit\r\n"
	      "a*b\n"
	      "#web memory=1G\n"
	      "*   memory=8G");
	assert_int_equal(file.n, 3);
	limits = tenantfile_find(&file, "web");
	assert_true(limits->memory_bytes == 64 * GIB);
	assert_true(limits->guaranteed_bytes == 16 * GIB);
	assert_int_equal(limits->sessions, 4);
	assert_int_equal(limits->lanes, 64);
	assert_int_equal(limits->weight, 2);
	limits = tenantfile_find(&file, "batch");
	assert_true(limits->memory_bytes == TENANT_ANY_BYTES);
	assert_int_equal(limits->guaranteed_bytes, 0);
	assert_int_equal(limits->sessions, TENANT_ANY);
	assert_int_equal(limits->lanes, TENANT_ANY);
	assert_int_equal(limits->weight, 100);
	assert_int_equal(tenantfile_find(&file, "a*b")->weight, 1);
	limits = tenantfile_find(&file, "another");
	assert_true(limits->memory_bytes == 8 * GIB);
	assert_int_equal(limits->sessions, TENANT_ANY);
}

static void without_a_star_others_have_nothing(void **state)
{
	(void)state;
	parse("web\n");
	assert_non_null(tenantfile_find(&file, "web"));
	assert_null(tenantfile_find(&file, "we"));
	tenantfile_free(&file);
	parse("");
	assert_null(tenantfile_find(&file, "web"));
	tenantfile_free(&file);
	parse("# nothing\n\n");
	assert_null(tenantfile_find(&file, "web"));
}

static void names_the_line_and_what_is_allowed(void **state)
{
	(void)state;
	assert_wrong("a\n\nb memory=64X\n",
		     "line 3: memory=64X: allowed: a size, such as 64G");
	assert_wrong("a guaranteed=\n",
		     "line 1: guaranteed=: allowed: a size, such as 64G");
	assert_wrong("a sessions=0\n",
		     "line 1: sessions=0: allowed: 1 to 4096");
	assert_wrong("a sessions=4097\n",
		     "line 1: sessions=4097: allowed: 1 to 4096");
	assert_wrong("a lanes=1048577\n",
		     "line 1: lanes=1048577: allowed: 1 to 1048576");
	assert_wrong("a weight=101\n", "line 1: weight=101: allowed: 1 to 100");
	assert_wrong("a weight=1 weight=2\n",
		     "line 1: weight=2: allowed: weight= once in a line");
	assert_wrong("a memry=1G\n",
		     "line 1: memry=1G: allowed: memory=, guaranteed=, "
		     "sessions=, lanes= and weight=");
	assert_wrong("a memory\n",
		     "line 1: memory: allowed: memory=, guaranteed=, "
		     "sessions=, lanes= and weight=");
	assert_wrong("memory=1G\n",
		     "line 1: memory=1G: allowed is *, or a name of at most 63 "
		     "printable ASCII characters, before the limits");
	assert_wrong("w\xc3\xa4rme\n",
		     "line 1: w??rme: allowed is *, or a name of at most 63 "
		     "printable ASCII characters, before the limits");
	assert_wrong("a weight=1\x01\n",
		     "line 1: weight=1?: allowed: 1 to 100");
	assert_wrong("b\na\nb\n",
		     "line 3: b: allowed once, and it is in line 1");
	assert_wrong("*\n*\n", "line 2: *: allowed once");
}

static void guarantees_have_to_fit(void **state)
{
	(void)state;
	parse("a memory=1G guaranteed=1024M\n");
	tenantfile_free(&file);
	assert_wrong("a guaranteed=2G memory=1G\n",
		     "line 1: guaranteed=2G: allowed is at most memory=1G");
	assert_wrong("* guaranteed=2G\n",
		     "line 1: guaranteed=2G: allowed only for a name, as * is "
		     "any number of identities");
}

static void long_words_are_cut_in_messages(void **state)
{
	char text[400] = "a ";

	(void)state;
	memset(text + 2, 'x', 300);
	assert_int_equal(tenantfile_parse(text, strlen(text), &file, &why),
			 -EINVAL);
	assert_in_range(strlen(why.text), 80, 200);
	memset(text, 'n', 63);
	text[63] = '\0';
	parse(text);
	tenantfile_free(&file);
	memset(text, 'n', 64);
	text[64] = '\0';
	assert_int_equal(tenantfile_parse(text, strlen(text), &file, &why),
			 -EINVAL);
}

/* A byte of any value, also the end of string, is part of a word. */
static void bytes_need_not_be_text(void **state)
{
	static const char text[] = "a\0b memory=1G\n";

	(void)state;
	assert_int_equal(tenantfile_parse(text, sizeof text - 1, &file, &why),
			 -EINVAL);
	assert_contains(why.text, "line 1: a?b: ");
}

static void has_a_limit_of_names(void **state)
{
	char *text = malloc(8 * (TENANTFILE_LINES_MAX + 1) + 1);
	size_t n = 0;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < TENANTFILE_LINES_MAX; i++)
		n += (size_t)sprintf(text + n, "n%u\n", i);
	parse(text);
	assert_non_null(tenantfile_find(&file, "n4095"));
	tenantfile_free(&file);
	sprintf(text + n, "more\n");
	assert_wrong(text, "line 4097: more: allowed are 4096 names");
	free(text);
}

static void reads_files(void **state)
{
	static const char line[] = "web weight=7\n";
	char path[] = "/tmp/rswap-tenants.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
	assert_int_equal(tenantfile_read(path, &file, &why), 0);
	assert_int_equal(tenantfile_find(&file, "web")->weight, 7);
	tenantfile_free(&file);
	assert_int_equal(ftruncate(fd, TENANTFILE_BYTES_MAX + 1), 0);
	assert_int_equal(tenantfile_read(path, &file, &why), -EFBIG);
	assert_contains(why.text, "more than 1048576 bytes");
	close(fd);
	unlink(path);
	assert_int_equal(tenantfile_read(path, &file, &why), -ENOENT);
	assert_contains(why.text, "No such file");
	assert_int_equal(tenantfile_read("/tmp", &file, &why), -EISDIR);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_line_says_what_a_tenant_may_have),
		TEST(without_a_star_others_have_nothing),
		TEST(names_the_line_and_what_is_allowed),
		TEST(guarantees_have_to_fit),
		TEST(long_words_are_cut_in_messages),
		TEST(bytes_need_not_be_text),
		TEST(has_a_limit_of_names),
		TEST(reads_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
