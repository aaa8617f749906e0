/* The kernel's memory settings: nobody waits for a terminal while it has the
 * lock that every attach needs. */
#include "vmtune.h"
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "settings.h"
#include "statedir.h"
#include "swapinfo.h"

/* --- the kernel's side, and the run directory --- */

static int lock_fd = -1;
static int devices; /* that are attached */

const char *statedir_root(void)
{
	return "/no-such-directory";
}

int statedir_list(char names[][STATE_NAME_MAX + 1], int max)
{
	(void)names;
	return devices < max ? devices : max;
}

int statedir_lock_settings(uint64_t deadline_ns, struct error *why)
{
	(void)deadline_ns, (void)why;
	lock_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	return lock_fd;
}

static bool is_locked(void)
{
	return lock_fd >= 0 && fcntl(lock_fd, F_GETFD) >= 0;
}

uint64_t meminfo_bytes(const char *key)
{
	(void)key;
	return UINT64_C(1) << 30;
}

bool settings_read(const char *path, char value[SETTINGS_VALUE_MAX])
{
	(void)path;
	strcpy(value, "1");
	return true;
}

uint64_t settings_number(const char *path)
{
	(void)path;
	return 1;
}

int settings_change(const char *record, const char *path, const char *value,
		    struct error *why)
{
	(void)record, (void)path, (void)value, (void)why;
	assert_true(is_locked());
	return 1;
}

void settings_put_back(const char *record,
		       void (*tell)(void *arg, const char *path,
				    const char *from, const char *to),
		       void *arg)
{
	(void)record;
	assert_true(is_locked());
	tell(arg, "/proc/sys/vm/page-cluster", "3", "0");
}

/* --- the terminal --- */

static char said[1024];
static size_t said_bytes;
static bool waited_with_lock;

static ssize_t take_output(void *cookie, const char *bytes, size_t n)
{
	(void)cookie;
	waited_with_lock |= is_locked();
	if (said_bytes + n >= sizeof said)
		return -1;
	memcpy(said + said_bytes, bytes, n);
	said_bytes += n;
	said[said_bytes] = '\0';
	return (ssize_t)n;
}

static FILE *usual;

static int take_terminal(void **state)
{
	(void)state;
	usual = stdout;
	stdout = fopencookie(NULL, "w",
			     (cookie_io_functions_t){ .write = take_output });
	setvbuf(stdout, NULL, _IONBF, 0);
	said_bytes = 0;
	said[0] = '\0';
	waited_with_lock = false;
	return 0;
}

static int give_terminal(void **state)
{
	(void)state;
	fclose(stdout);
	stdout = usual;
	return 0;
}

/* --- tests --- */

static void lines_come_without_the_lock(void **state)
{
	struct error why;

	(void)state;
	devices = 1;
	assert_int_equal(vmtune_set(VMTUNE_ALL, &why), 0);
	assert_non_null(strstr(said, "  vm.min_free_kbytes: 1 -> "));
	assert_non_null(strstr(said, "  vm.page-cluster: 1 -> 3\n"));
	devices = 0;
	vmtune_put_back();
	assert_non_null(strstr(said, "  vm.page-cluster: 3 -> 0\n"));
	assert_false(waited_with_lock);
	assert_false(is_locked());
}

/* No detach is to come that would put anything back. */
static void nothing_is_set_without_a_device(void **state)
{
	struct error why;

	(void)state;
	devices = 0;
	assert_int_equal(vmtune_set(VMTUNE_ALL, &why), -1);
	assert_non_null(strstr(why.text, "nothing is attached"));
	assert_false(is_locked());
	assert_string_equal(said, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_come_without_the_lock,
						take_terminal, give_terminal),
		cmocka_unit_test_setup_teardown(nothing_is_set_without_a_device,
						take_terminal, give_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
