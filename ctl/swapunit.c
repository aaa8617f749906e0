#include "swapunit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "newfile.h"

#define UNITS "/run/systemd/system"

struct unit_path {
	char text[128];
};

/* The directory of the unit's drop-ins, or FILE in it.  A device's path has no
 * characters that systemd escapes, but slashes. */
static struct unit_path drop_in(const char *device, const char *file)
{
	struct unit_path path;
	char *name;

	snprintf(path.text, sizeof path.text, UNITS "/%.31s.swap.d%s",
		 device + 1, file);
	name = path.text + strlen(UNITS "/");
	for (size_t n = strlen(device + 1); n > 0; n--, name++) {
		if (*name == '/')
			*name = '-';
	}
	return path;
}

struct content {
	char text[192];
};

static struct content content_of(const char *name)
{
	struct content content;

	snprintf(content.text, sizeof content.text,
		 "# made by rswapctl attach --name=%.32s: left on when the "
		 "machine goes down\n"
		 "[Unit]\n"
		 "DefaultDependencies=no\n",
		 name);
	return content;
}

int swapunit_keep_on(const char *device, const char *name, struct error *why)
{
	struct unit_path dir = drop_in(device, "");

	if (sd_booted() <= 0)
		return 0;
	if (mkdir(dir.text, 0755) < 0 && errno != EEXIST) {
		int err = errno;

		error_set(why, "%s: %s", dir.text, strerror(err));
		return -err;
	}
	return newfile_replace(drop_in(device, "/rswap.conf").text,
			       content_of(name).text, why);
}

static bool is_of(const char *path, const char *name)
{
	struct content content = { "" };
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	(void)!fread(content.text, 1, sizeof content.text - 1, f);
	fclose(f);
	return !strcmp(content.text, content_of(name).text);
}

void swapunit_forget(const char *device, const char *name)
{
	if (*device != '/' || !is_of(drop_in(device, "/rswap.conf").text, name))
		return;
	unlink(drop_in(device, "/rswap.conf").text);
	rmdir(drop_in(device, "").text);
}
