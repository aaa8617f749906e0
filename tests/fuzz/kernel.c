/* Files of the kernel, some of whose bytes are a user's: /proc/swaps, meminfo,
 * PID/stat and PID/status, cgroups, pressure, and sysfs.  Any of them may hold
 * any bytes here. */
#include <string.h>

#include "blockdev.h"
#include "fuzz.h"
#include "machine/cgroup.h"
#include "machine/kernfile.h"
#include "nbddev.h"
#include "run.h"
#include "server/pressure.h"
#include "swapinfo.h"

#include "swapusers.c" /* one process, without looking for others */

static const uint8_t *file_data;
static size_t file_bytes;

/* Every file that is opened by name. */
FILE *__wrap_fopen(const char *path, const char *mode);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	(void)path, (void)mode;
	return fuzz_open(file_data, file_bytes);
}

static void read_swaps(void)
{
	struct swap_usage usage;
	struct swap_names names;

	if (swapinfo_read("/dev/nbd0", &usage) && usage.active)
		REQUIRE(*usage.device &&
			strlen(usage.device) < sizeof usage.device &&
			strlen(usage.above) < sizeof usage.above);
	swapinfo_beside(SWAP_EQUAL, "/dev/nbd0", 100, &names);
	REQUIRE(strlen(names.text) < sizeof names.text);
	meminfo_bytes("MemAvailable");
}

static void read_processes(void)
{
	struct swapusers users = { 0 };
	struct swapuser user;

	run_start_time(1);
	run_alive(1);
	for (unsigned i = 0; read_user("1", &user) && i < 7; i++) {
		for (const char *c = user.name; *c; c++)
			REQUIRE(isprint((unsigned char)*c));
		swapusers_add(&users, &user);
	}
	swapusers_format(&users);
}

static void read_devices(void)
{
	struct error why;
	char backend[16];

	uint64_t reads, writes;

	blockdev_size_bytes("nbd0");
	blockdev_in_flight("nbd0", &reads, &writes);
	nbddev_is_free(0, &why);
	nbddev_backend(0, backend, sizeof backend);
	REQUIRE(strlen(backend) < sizeof backend);
}

static void read_groups(const char *text)
{
	unsigned hundredths;
	uint64_t value;
	char path[32];
	bool v1;

	if (cgroup_find_path(text, &v1, path, sizeof path))
		REQUIRE(strlen(path) < sizeof path && !strchr(path, '\n'));
	kernfile_find(text, "MemTotal:", &value);
	kernfile_find(text, "inactive_file", &value);
	if (pressure_find(text, &hundredths))
		REQUIRE(hundredths < 100 * 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = input_text(data, size);

	file_data = data;
	file_bytes = size;
	read_swaps();
	read_processes();
	read_devices();
	read_groups(text);
	free(text);
	return 0;
}
