#include "queuetune.h"

#include <errno.h>
#include <stdio.h>

#include "settings.h"

/* Below /sys/block/NAME/. */
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

bool queuetune_set(const char *name, const char *record, struct error *why)
{
	bool ok = true;

	for (size_t i = 0; i < sizeof queue_settings / sizeof queue_settings[0];
	     i++) {
		char path[80];
		int rc;

		snprintf(path, sizeof path, "/sys/block/%.32s/%s", name,
			 queue_settings[i].file);
		rc = settings_change(record, path, queue_settings[i].value,
				     why);
		/* not each kernel has all of these files */
		if (rc < 0 && rc != -ENOENT)
			ok = false;
	}
	return ok;
}
