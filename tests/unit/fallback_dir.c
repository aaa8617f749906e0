#include "fallback_dir.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "servers/fallback.h"

static bool can_hold(const char *path)
{
	struct fallback_config config = { .path = path,
					  .size_bytes = 64u << 10,
					  .slab_bytes = 64u << 10,
					  .chunk_bytes = 4096 };
	struct fallback f;
	struct error why;
	int rc = fallback_open(&f, &config, &why);

	if (rc)
		printf("skipped: %s\n", why.text);
	fallback_close(&f);
	unlink(path);
	return rc == 0;
}

bool fallback_dir_make(char path[64])
{
	char directory[] = "fallback.XXXXXX";

	if (!mkdtemp(directory)) {
		perror("mkdtemp");
		exit(1);
	}
	snprintf(path, 64, "%s/f", directory);
	if (can_hold(path))
		return true;
	rmdir(directory);
	return false;
}

void fallback_dir_remove(const char *path)
{
	char directory[64];

	unlink(path);
	snprintf(directory, sizeof directory, "%s", path);
	rmdir(dirname(directory));
}
