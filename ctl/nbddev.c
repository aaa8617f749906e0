#include "nbddev.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "blockdev.h"
#include "clock.h"
#include "run.h"
#include "size.h"

/* Settings of a swap device's queue, under /sys/block/nbdN/. */
static const struct {
	const char *file;
	const char *value;
} queue_settings[] = {
	/* The swap code merges and orders its I/O. A scheduler would add a
	 * lock, and hold reads back behind writes. */
	{ "queue/scheduler", "none" },
	/* No seeks: the kernel fills and trims swap by clusters, as on a flash
	 * disk.  A cluster is as large as a slab.  The kernel never trims a
	 * disk that rotates. */
	{ "queue/rotational", "0" },
	/* The times of swap requests are not worth a lock each for entropy. */
	{ "queue/add_random", "0" },
};

struct sys_path {
	char text[80];
};

static struct sys_path sys_path(int number, const char *file)
{
	struct sys_path path;

	snprintf(path.text, sizeof path.text, "/sys/block/nbd%d%s%s", number,
		 *file ? "/" : "", file);
	return path;
}

int nbddev_number(const char *path)
{
	uint64_t n;

	if (strncmp(path, "/dev/nbd", 8) != 0 ||
	    !number_parse(path + 8, 0, NBDDEV_MAX - 1, &n))
		return -1;
	return (int)n;
}

bool nbddev_exists(int number)
{
	return access(sys_path(number, "").text, F_OK) == 0;
}

bool nbddev_connected(int number)
{
	return access(sys_path(number, "pid").text, F_OK) == 0;
}

uint64_t nbddev_size_bytes(int number)
{
	FILE *f = fopen(sys_path(number, "size").text, "re");
	uint64_t sectors = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%" SCNu64, &sectors) != 1)
		sectors = 0;
	fclose(f);
	return sectors * 512;
}

/* The file has "reads writes".  Without the file: false. */
static bool in_flight(int number)
{
	FILE *f = fopen(sys_path(number, "inflight").text, "re");
	uint64_t reads = 0, writes = 0;

	if (!f)
		return false;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &reads, &writes) != 2)
		reads = writes = 0;
	fclose(f);
	return reads || writes;
}

bool nbddev_is_free(int number, struct error *why)
{
	struct blockdev_stack stack;
	char name[16];

	snprintf(name, sizeof name, "nbd%d", number);
	blockdev_read_stack(name, &stack);
	if (stack.n > 1)
		error_set(why, "%s stands on it", stack.devices[1].label);
	else if (nbddev_connected(number))
		error_set(why, "it is connected");
	else if (nbddev_size_bytes(number))
		error_set(why, "it has a size");
	else if (in_flight(number))
		error_set(why, "requests are in flight");
	else
		return true;
	return false;
}

int nbddev_find_free(void)
{
	struct error ignored;

	for (int n = 0; n < NBDDEV_MAX; n++) {
		if (nbddev_exists(n) && nbddev_is_free(n, &ignored))
			return n;
	}
	return -1;
}

void nbddev_backend(int number, char *text, size_t size)
{
	FILE *f = fopen(sys_path(number, "backend").text, "re");

	*text = '\0';
	if (!f)
		return;
	if (fgets(text, (int)size, f))
		text[strcspn(text, "\n")] = '\0';
	else
		*text = '\0';
	fclose(f);
}

int nbddev_find_backend(const char *backend)
{
	char text[256];

	for (int n = 0; n < NBDDEV_MAX; n++) {
		nbddev_backend(n, text, sizeof text);
		if (*text && !strcmp(text, backend))
			return n;
	}
	return -1;
}

int nbddev_count(void)
{
	int count = 0;

	for (int n = 0; n < NBDDEV_MAX; n++)
		count += nbddev_exists(n);
	return count;
}

int nbddev_load(uint64_t deadline_ns, struct error *why)
{
	/* no partitions: swap has none, and the kernel's scan for them would
	 * read the device before it is set up */
	const char *const argv[] = { "modprobe", "nbd", "nbds_max=16",
				     "max_part=0", NULL };

	if (nbddev_count() > 0)
		return 0;
	if (run_must(argv, deadline_ns, why) < 0)
		return -1;
	while (nbddev_count() == 0 && clock_left_ns(deadline_ns))
		run_pause(20);
	if (nbddev_count() > 0)
		return 0;
	error_set(why, "module nbd is loaded, but there is no /dev/nbd0");
	return -1;
}

bool nbddev_wait(int number, bool connected, uint64_t deadline_ns)
{
	while (nbddev_connected(number) != connected ||
	       (nbddev_size_bytes(number) > 0) != connected) {
		if (run_interrupted() || !clock_left_ns(deadline_ns))
			return false;
		run_pause(10);
	}
	return true;
}

static bool write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;
	int err;

	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	err = errno;
	close(fd);
	errno = err;
	return n == (ssize_t)strlen(value);
}

bool nbddev_tune(int number, struct error *why)
{
	bool ok = true;

	for (size_t i = 0; i < sizeof queue_settings / sizeof queue_settings[0];
	     i++) {
		struct sys_path path = sys_path(number, queue_settings[i].file);

		/* older kernels lack some of these files */
		if (write_file(path.text, queue_settings[i].value) ||
		    errno == ENOENT)
			continue;
		error_set(why, "%s: %s: %s", path.text, queue_settings[i].value,
			  strerror(errno));
		ok = false;
	}
	return ok;
}
