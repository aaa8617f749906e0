#include "nbddev.h"

#include <stdio.h>
#include <string.h>

#include "blockdev.h"
#include "clock.h"
#include "run.h"

struct nbddev_name nbddev_name(int number)
{
	struct nbddev_name name;

	snprintf(name.text, sizeof name.text, "nbd%d", number);
	return name;
}

bool nbddev_exists(int number)
{
	return blockdev_exists(nbddev_name(number).text);
}

bool nbddev_connected(int number)
{
	char pid[16];

	blockdev_text(nbddev_name(number).text, "pid", pid, sizeof pid);
	return *pid != '\0';
}

bool nbddev_is_free(int number, struct error *why)
{
	struct nbddev_name name = nbddev_name(number);
	struct blockdev_stack stack;
	uint64_t reads, writes;

	blockdev_read_stack(name.text, &stack);
	blockdev_in_flight(name.text, &reads, &writes);
	if (stack.n > 1)
		error_set(why, "%s stands on it", stack.devices[1].label);
	else if (nbddev_connected(number))
		error_set(why, "it is connected");
	else if (blockdev_size_bytes(name.text))
		error_set(why, "it has a size");
	else if (reads || writes)
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
	blockdev_text(nbddev_name(number).text, "backend", text, size);
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
