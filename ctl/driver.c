#include "driver.h"

#include <stdio.h>
#include <string.h>

#include "blockdev.h"
#include "clock.h"
#include "run.h"
#include "size.h"

static const struct driver *const drivers[] = { &driver_nbd, &driver_ublk };

const struct driver *driver_of(const char *path, int *number)
{
	*number = -1;
	if (strncmp(path, "/dev/", 5))
		return NULL;
	path += 5;
	for (size_t i = 0; i < sizeof drivers / sizeof drivers[0]; i++) {
		size_t length = strlen(drivers[i]->prefix);
		uint64_t n;

		if (strncmp(path, drivers[i]->prefix, length) ||
		    !number_parse(path + length, 0,
				  (uint64_t)drivers[i]->numbers - 1, &n))
			continue;
		*number = (int)n;
		return drivers[i];
	}
	return NULL;
}

struct driver_name driver_device(const struct driver *driver, int number)
{
	struct driver_name name;

	snprintf(name.text, sizeof name.text, "%s%d", driver->prefix, number);
	return name;
}

bool driver_wait(const struct driver *driver, int number, bool connected,
		 uint64_t deadline_ns)
{
	struct driver_name name = driver_device(driver, number);

	while (driver->is_connected(number) != connected ||
	       (blockdev_size_bytes(name.text) > 0) != connected) {
		if (run_interrupted() || !clock_left_ns(deadline_ns))
			return false;
		run_pause(10);
	}
	return true;
}
