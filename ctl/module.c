#include "module.h"

#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "run.h"

#define TOOL_NS (10 * NS_PER_S)

bool module_loaded(const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

/* modinfo knows of both. */
bool module_available(const char *name)
{
	const char *const argv[] = { "modinfo", "-n", name, NULL };
	struct error ignored;

	return run_tool(argv, clock_now_ns() + TOOL_NS, NULL, 0, &ignored) == 0;
}
