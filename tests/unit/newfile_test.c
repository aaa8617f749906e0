/* Files that are replaced while others read them, and those that are one
 * running server's. */
#include "newfile.h"
#include "ownfile.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/rswap-newfile-test.XXXXXX";
static char path[sizeof dir + 8];
static char victim[sizeof dir + 8];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/pid", dir);
	snprintf(victim, sizeof victim, "%s/other", dir);
	return 0;
}

/* Fails where a temporary file was left. */
static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static const char *read_text(const char *from)
{
	static char text[64];
	FILE *file = fopen(from, "r");
	size_t n;

	assert_non_null(file);
	n = fread(text, 1, sizeof text - 1, file);
	text[n] = '\0';
	fclose(file);
	return text;
}

static void write_text(const char *to, const char *text)
{
	FILE *file = fopen(to, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

static void a_file_is_replaced(void **state)
{
	struct error why;
	struct stat st;

	(void)state;
	assert_int_equal(newfile_replace(path, "old one\n", &why), 0);
	assert_int_equal(newfile_replace(path, "10909\n", &why), 0);
	assert_string_equal(read_text(path), "10909\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0600, 0600);
	assert_int_equal(unlink(path), 0);
}

static void what_cannot_be_written_is_named(void **state)
{
	struct ownfile file = { .path = NULL };
	struct error why;

	(void)state;
	assert_int_equal(newfile_replace("/nowhere/at/all", "x", &why),
			 -ENOENT);
	assert_contains(why.text, "/nowhere/at/all: No such file");
	assert_int_equal(ownfile_make(&file, "/nowhere/at/all", "x", &why),
			 -ENOENT);
	assert_contains(why.text, "/nowhere/at/all: No such file");
}

/* Whoever may write to the directory can put links there. */
static void no_link_is_followed(void **state)
{
	struct ownfile file = { .path = NULL };
	char guess[sizeof path + 32];
	struct error why;

	(void)state;
	write_text(victim, "precious");
	snprintf(guess, sizeof guess, "%s.%ld.tmp", path, (long)getpid());
	assert_int_equal(symlink(victim, guess), 0);
	assert_int_equal(newfile_replace(path, "1\n", &why), 0);
	assert_string_equal(read_text(victim), "precious");
	assert_int_equal(unlink(path), 0);

	/* the name itself: the link is replaced, or refused */
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(newfile_replace(path, "1\n", &why), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(ownfile_make(&file, path, "1\n", &why), -EEXIST);
	assert_contains(why.text, "is not a regular file");
	assert_string_equal(read_text(victim), "precious");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(guess), 0);
	assert_int_equal(unlink(victim), 0);
}

static void a_file_has_one_owner(void **state)
{
	struct ownfile first = { .path = NULL }, second = { .path = NULL };
	struct error why;

	(void)state;
	assert_int_equal(ownfile_make(&first, path, "77\n", &why), 0);
	assert_string_equal(read_text(path), "77\n");
	assert_int_equal(ownfile_make(&second, path, "78\n", &why),
			 -EADDRINUSE);
	assert_contains(why.text, path);
	assert_contains(why.text, "\"77\"");
	assert_string_equal(read_text(path), "77\n");
	ownfile_remove(&second); /* has none */
	assert_true(exists(path));
	ownfile_remove(&first);
	assert_false(exists(path));
	assert_int_equal(ownfile_make(&second, path, "78\n", &why), 0);
	ownfile_remove(&second);
}

static void a_file_that_was_left_is_replaced(void **state)
{
	struct ownfile file = { .path = NULL };
	struct error why;

	(void)state;
	write_text(path, "a long text of an earlier server\n");
	assert_int_equal(ownfile_make(&file, path, "5\n", &why), 0);
	assert_string_equal(read_text(path), "5\n");
	ownfile_remove(&file);
	assert_false(exists(path));
}

static void what_is_another_ones_by_now_stays(void **state)
{
	struct ownfile first = { .path = NULL }, second = { .path = NULL };
	struct error why;

	(void)state;
	assert_int_equal(ownfile_make(&first, path, "1\n", &why), 0);
	/* somebody cleans up by hand */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ownfile_make(&second, path, "2\n", &why), 0);
	ownfile_remove(&first);
	assert_string_equal(read_text(path), "2\n");
	ownfile_remove(&second);
}

static void only_files_are_replaced(void **state)
{
	struct ownfile file = { .path = NULL };
	struct error why;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(ownfile_make(&file, path, "1\n", &why), -EEXIST);
	assert_contains(why.text, "is not a regular file");
	assert_int_equal(unlink(path), 0);
}

struct race {
	struct ownfile file;
	int rc;
};

static void *make_it(void *arg)
{
	struct race *race = arg;
	struct error why;

	race->rc = ownfile_make(&race->file, path, "1\n", &why);
	return NULL;
}

/* Of servers that start at the same time, and find an old file. */
static void one_of_many_wins(void **state)
{
	enum { N = 8, ROUNDS = 50 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct race races[N] = { 0 };
		pthread_t threads[N];
		int winners = 0;

		write_text(path, "old\n");
		for (int i = 0; i < N; i++)
			threads[i] = thread_start(make_it, &races[i]);
		for (int i = 0; i < N; i++) {
			thread_end(threads[i]);
			winners += races[i].rc == 0;
		}
		assert_int_equal(winners, 1);
		for (int i = 0; i < N; i++)
			ownfile_remove(&races[i].file);
		assert_false(exists(path));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_replaced),
		cmocka_unit_test(what_cannot_be_written_is_named),
		cmocka_unit_test(no_link_is_followed),
		cmocka_unit_test(a_file_has_one_owner),
		cmocka_unit_test(a_file_that_was_left_is_replaced),
		cmocka_unit_test(what_is_another_ones_by_now_stays),
		cmocka_unit_test(only_files_are_replaced),
		cmocka_unit_test(one_of_many_wins),
	};

	return cmocka_run_group_tests_name("newfile", tests, make_dir,
					   remove_dir);
}
