/* doctor: the front end that attach would start. */
#include "doctor.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "keyvalue.h"
#include "execroom.h"
#include "front.h"
#include "run.h"
#include "sysfile.h"

#define TOOL_NS (10 * NS_PER_S)
#define MIB	(1024 * 1024)

static void tell_version(const char *what, const char *path,
			 const char *version)
{
	if (strcmp(version, RSWAP_VERSION))
		doctor_tell(FOUND_WARN, what, "install both anew",
			    "%s is version %s, rswapctl is " RSWAP_VERSION,
			    path, version);
	else
		doctor_tell(FOUND_OK, what, NULL, "%s, version %s", path,
			    version);
}

/* nbdkit's message, without the hint at its manual that follows. */
static const char *error_line(char *output)
{
	char *error = strstr(output, "error: ");

	if (!error)
		return run_last_line(output);
	error[strcspn(error, "\n")] = '\0';
	return error + strlen("error: ");
}

static void check_plugin(const char *plugin)
{
	char output[8192], version[64];
	char name[256];
	const char *const argv[] = { "nbdkit", plugin, "--dump-plugin", NULL };
	struct error why;
	char *dash;
	int status;

	status = run_tool(argv, clock_now_ns() + TOOL_NS, output, sizeof output,
			  &why);
	if (status != 0) {
		doctor_tell(FOUND_FAIL, "plugin",
			    "cmake --install, or name it with --plugin=PATH",
			    "%s: %s", plugin,
			    status < 0 ? why.text : error_line(output));
		return;
	}
	/* nbdkit writes key=value */
	for (dash = output; (dash = strchr(dash, '=')); dash++)
		*dash = ' ';
	if (!keyvalue_get(output, "name", name, sizeof name) ||
	    strcmp(name, "rswap"))
		doctor_tell(FOUND_FAIL, "plugin", "name it with --plugin=PATH",
			    "%s is another plugin", plugin);
	else if (!keyvalue_get(output, "version", version, sizeof version))
		doctor_tell(FOUND_OK, "plugin", NULL, "%s", plugin);
	else
		tell_version("plugin", plugin, version);
}

/* Whether nbdkit can start at all, before its plugin is checked. */
static void check_start(const char *nbdkit)
{
	static const char what[] = "memory for nbdkit";
	struct execroom room;

	if (!execroom_read(nbdkit, &room))
		return;
	if (!execroom_fits(&room))
		doctor_tell(FOUND_FAIL, what, room.remedy,
			    "it starts with %" PRIu64
			    " MiB of static buffers, and gets SIGSEGV: there "
			    "are %" PRIu64 " MiB of %s",
			    (room.needs_bytes + MIB - 1) / MIB,
			    room.has_bytes / MIB, room.limit);
	else if (room.has_bytes == UINT64_MAX)
		doctor_tell(FOUND_OK, what, NULL, "%s", room.limit);
	else
		doctor_tell(FOUND_OK, what, NULL,
			    "%" PRIu64 " MiB to start with, %" PRIu64
			    " MiB of %s",
			    (room.needs_bytes + MIB - 1) / MIB,
			    room.has_bytes / MIB, room.limit);
}

static void check_nbdkit(const char *path, const char *plugin)
{
	check_start(path);
	check_plugin(plugin);
}

/* "rswap-nbd 0.1" */
static void check_ours(const struct front *front, const char *path)
{
	const char *const argv[] = { path, "--version", NULL };
	char output[512];
	struct error why;
	int status = run_tool(argv, clock_now_ns() + TOOL_NS, output,
			      sizeof output, &why);
	char *line = run_last_line(output);
	size_t length = strlen(front->program);

	if (status == 0 && !strncmp(line, front->program, length) &&
	    line[length] == ' ')
		tell_version(front->program, path, line + length + 1);
	else
		doctor_tell(FOUND_FAIL, front->program, "install it anew",
			    "%s --version: %s", path,
			    status < 0 ? why.text : line);
}

static void check_driver(const struct driver *driver)
{
	const char *remedy = NULL;
	struct error state;
	char what[32];
	bool ok = driver->diagnose(&state, &remedy);

	snprintf(what, sizeof what, "%s devices", driver->name);
	doctor_tell(ok ? FOUND_OK : FOUND_FAIL, what, remedy, "%s", state.text);
}

/* rswapctl loads nbd without partitions; the kernel's default is 16. */
static void check_partitions(void)
{
	int64_t partitions;

	if (sysfile_number(&partitions,
			   "/sys/module/nbd/parameters/max_part") &&
	    partitions > 0)
		doctor_find("nbd devices", FINDING_NBD_PARTITIONS,
			    "loaded with up to %" PRId64
			    " partitions a device: the kernel looks for them "
			    "whenever a device is connected",
			    partitions);
}

void doctor_front(const char *name, const char *plugin)
{
	static const char what[] = "front end";
	struct front_path path;
	struct error why;
	const struct front_wish wish = { .name = name, .plugin = plugin };
	const struct front *front = front_choose(&wish, &why);

	if (!front || !front_find(front, &path)) {
		doctor_tell(FOUND_FAIL, what,
			    "install rswap-ublk (Linux 6.4 and later) or "
			    "rswap-nbd, or nbdkit and nbdkit-plugin-rswap",
			    "%s", why.text);
		return;
	}
	doctor_tell(FOUND_OK, what, NULL, "%s: %s", front->what, why.text);
	check_driver(front->driver);
	if (front->driver == &driver_nbd)
		check_partitions();
	if (front->ours)
		check_ours(front, path.text);
	else
		check_nbdkit(path.text,
			     plugin ? plugin : front_default_plugin());
}
