/* Key files: what is a key, what is refused and with which line, and which
 * files are not read because others can read them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pskfile.h"
#include "support.h"

#define KEY16 "00112233445566778899aabbccddeeff"
#define KEY32 KEY16 KEY16
#define KEY64 KEY32 KEY32

static struct pskfile file;
static struct error why;

static int parse(const char *text)
{
	return pskfile_parse(text, strlen(text), &file, &why);
}

/* TEXT is refused, and the reason has SAYS and no key. */
static void refuse(const char *text, const char *says)
{
	assert_int_equal(parse(text), -EINVAL);
	assert_contains(why.text, says);
	assert_null(strstr(why.text, "1122"));
	assert_int_equal(file.n, 0);
	assert_null(file.keys);
}

static void takes_what_psktool_writes(void **state)
{
	(void)state;
	assert_int_equal(parse("# clients\n\nalpha:" KEY16 "\r\n"
			       "  beta:FFEEDDCCBBAA99887766554433221100 \n"
			       "node-7.rack@x:" KEY64),
			 0);
	assert_int_equal(file.n, 3);
	assert_int_equal(pskfile_find(&file, "alpha")->key_bytes, 16);
	assert_int_equal(pskfile_find(&file, "alpha")->key[1], 0x11);
	assert_int_equal(pskfile_find(&file, "beta")->key[0], 0xff);
	assert_int_equal(pskfile_find(&file, "node-7.rack@x")->key_bytes, 64);
	assert_null(pskfile_find(&file, "gamma"));
	assert_null(pskfile_find(&file, "alph"));
	assert_null(pskfile_find(&file, ""));
	pskfile_free(&file);
	assert_null(pskfile_find(&file, "alpha"));
}

static void refuses_other_lines(void **state)
{
	(void)state;
	refuse("", "no key");
	refuse("# only this\n", "no key");
	refuse("alpha\n", "line 1 is not NAME:HEXKEY");
	refuse("\n\nalpha=" KEY16 "\n", "line 3");
	refuse(":" KEY16, "line 1: the name");
	refuse("a b:" KEY16, "line 1: the name");
	refuse("a\xc3\xa9:" KEY16, "line 1: the name");
	refuse("a:" KEY16 "\na:" KEY32 "\n", "line 2: there is a key of \"a\"");
	refuse("a:", "line 1: the key");
	refuse("a:00112233445566778899aabbccddee", "16 to 64 bytes");
	refuse("a:" KEY64 "00", "16 to 64 bytes");
	refuse("a:" KEY16 "0", "line 1: the key");
	refuse("a:0g112233445566778899aabbccddeeff", "line 1: the key");
	refuse("a:" KEY16 ":" KEY16, "line 1: the key");
	refuse("ok:" KEY16 "\na:" KEY16 " " KEY16, "line 2: the key");
	assert_int_equal(pskfile_parse("a\0:" KEY16, 35, &file, &why), -EINVAL);
	assert_contains(why.text, "line 1: the name");
}

static void bounds_names_and_numbers(void **state)
{
	char name[PSK_NAME_BYTES + 1], text[128];
	char *many = calloc(PSKFILE_KEYS_MAX + 1, 64);
	size_t used = 0;

	(void)state;
	memset(name, 'n', sizeof name);
	name[PSK_NAME_BYTES - 1] = '\0';
	snprintf(text, sizeof text, "%s:" KEY16, name);
	assert_int_equal(parse(text), 0);
	pskfile_free(&file);
	snprintf(text, sizeof text, "n%s:" KEY16, name);
	refuse(text, "1 to 63 printable");

	for (unsigned i = 0; i <= PSKFILE_KEYS_MAX; i++) {
		if (i == PSKFILE_KEYS_MAX) {
			assert_int_equal(parse(many), 0);
			assert_int_equal(file.n, PSKFILE_KEYS_MAX);
			pskfile_free(&file);
		}
		used += (size_t)sprintf(many + used, "%u:" KEY16 "\n", i);
	}
	refuse(many, "line 4097: more than 4096 keys");
	free(many);
}

static void chooses_the_only_key(void **state)
{
	struct pskfile two = { 0 };

	(void)state;
	assert_int_equal(parse("one:" KEY16), 0);
	assert_string_equal(pskfile_choose(&file, NULL, &why)->name, "one");
	assert_string_equal(pskfile_choose(&file, "one", &why)->name, "one");
	assert_null(pskfile_choose(&file, "two", &why));
	assert_contains(why.text, "no key of that name");
	pskfile_free(&file);
	assert_int_equal(
		pskfile_parse("a:" KEY16 "\nb:" KEY32, 101, &two, &why), 0);
	assert_null(pskfile_choose(&two, NULL, &why));
	assert_contains(why.text, "2 keys");
	assert_string_equal(pskfile_choose(&two, "b", &why)->name, "b");
	assert_false(psk_same(&two.keys[0], &two.keys[1]));
	pskfile_free(&two);
}

static void tells_names_apart(void **state)
{
	(void)state;
	assert_true(psk_name_ok("a"));
	assert_true(psk_name_ok("a#b"));
	assert_false(psk_name_ok(""));
	assert_false(psk_name_ok("#a"));
	assert_false(psk_name_ok("a:b"));
	assert_false(psk_name_ok("a b"));
}

/* --- files --- */

static char path[64];

static void write_file(const char *text, mode_t mode)
{
	FILE *out;

	unlink(path);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fchmod(fileno(out), mode);
	fclose(out);
}

static void refuse_mode(mode_t mode)
{
	write_file("a:" KEY16, mode);
	assert_int_equal(pskfile_read(path, &file, &why), -EACCES);
	assert_contains(why.text, "0600 or 0400");
	assert_int_equal(file.n, 0);
}

static void accept_mode(mode_t mode)
{
	write_file("a:" KEY16, mode);
	assert_int_equal(pskfile_read(path, &file, &why), 0);
	assert_int_equal(file.n, 1);
	pskfile_free(&file);
}

static void reads_private_files_only(void **state)
{
	(void)state;
	snprintf(path, sizeof path, "/tmp/pskfile-test.%d", (int)getpid());
	accept_mode(0600);
	accept_mode(0400);
	refuse_mode(0604);
	refuse_mode(0640);
	refuse_mode(0620);
	refuse_mode(0644);
	/* with an access list, as systemd gives it */
	setenv("CREDENTIALS_DIRECTORY", "/tmp", 1);
	accept_mode(0440);
	refuse_mode(0460);
	refuse_mode(0444);
	setenv("CREDENTIALS_DIRECTORY", "/tm", 1);
	refuse_mode(0440);
	unsetenv("CREDENTIALS_DIRECTORY");

	write_file("a:" KEY16 "\nnonsense", 0600);
	assert_int_equal(pskfile_read(path, &file, &why), -EINVAL);
	assert_contains(why.text, "line 2");
	assert_int_equal(truncate(path, PSKFILE_BYTES_MAX + 1), 0);
	assert_int_equal(pskfile_read(path, &file, &why), -EIO);
	assert_contains(why.text, "more than 1048576 bytes");
	if (geteuid() == 0) {
		write_file("a:" KEY16, 0600);
		assert_int_equal(chown(path, 12345, 0), 0);
		assert_int_equal(pskfile_read(path, &file, &why), -EACCES);
		assert_contains(why.text, "belongs to user 12345");
	}
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(pskfile_read(path, &file, &why), -EACCES);
	assert_contains(why.text, "not a regular file");
	unlink(path);
	assert_int_equal(pskfile_read(path, &file, &why), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_psktool_writes),
		cmocka_unit_test(refuses_other_lines),
		cmocka_unit_test(bounds_names_and_numbers),
		cmocka_unit_test(chooses_the_only_key),
		cmocka_unit_test(tells_names_apart),
		cmocka_unit_test(reads_private_files_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
