/* The kernel's ublk: the front end makes /dev/ublkbN when it starts, and the
 * kernel ends the device when the front end ends, however that ends. */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "answer.h"
#include "blockdev.h"
#include "clock.h"
#include "driver.h"
#include "module.h"
#include "run.h"
#include "settings.h"
#include "size.h"
#include "swapinfo.h"

#define PREFIX	"ublkb"
#define NUMBERS (1 << 20)
#define CONTROL "/dev/ublk-control"

#define LOAD_POLL_MS 20
/* How long the front end may take to delete what another one left. */
#define DELETE_NS (30 * NS_PER_S)

struct name {
	char text[24];
};

/* "ublkb3"; of the character device with the prefix "ublkc". */
static struct name name_of(const char *prefix, int number)
{
	struct name name;

	snprintf(name.text, sizeof name.text, "%s%d", prefix, number);
	return name;
}

/* --- the driver --- */

/* The first one with devices that need no capabilities, whose commands
 * rswap-ublk knows (rswap-ublk(8)). */
static bool is_old(const char *release)
{
	unsigned major = 0, minor = 0;

	return sscanf(release, "%u.%u", &major, &minor) == 2 &&
	       (major < 6 || (major == 6 && minor < 4));
}

static bool is_there(struct error *why)
{
	struct utsname kernel;

	if (uname(&kernel) == 0 && is_old(kernel.release)) {
		error_set(why, "ublk needs Linux 6.4, and this is %.64s",
			  kernel.release);
		return false;
	}
	if (access(CONTROL, F_OK) < 0 && !module_available("ublk_drv")) {
		error_set(why, "this kernel has no ublk (ublk_drv)");
		return false;
	}
	if (settings_number("/proc/sys/kernel/io_uring_disabled")) {
		error_set(why, "ublk needs io_uring (sysctl "
			       "kernel.io_uring_disabled=0)");
		return false;
	}
	return true;
}

static bool diagnose(struct error *state, const char **remedy)
{
	if (!is_there(state)) {
		*remedy = "use a newer kernel (Debian 13's, or one of Debian "
			  "12's backports), or --front=nbd";
		return false;
	}
	error_set(state, "%s",
		  access(CONTROL, F_OK) == 0
			  ? "made as they are needed"
			  : "module ublk_drv is there, not loaded yet");
	return true;
}

static int load(uint64_t deadline_ns, struct error *why)
{
	const char *const argv[] = { "modprobe", "ublk_drv", NULL };

	if (access(CONTROL, F_OK) == 0)
		return 0;
	if (run_must(argv, deadline_ns, why) < 0)
		return -1;
	while (access(CONTROL, F_OK) < 0) {
		if (run_interrupted() || !clock_left_ns(deadline_ns)) {
			error_set(why, "module ublk_drv is loaded, but there "
				       "is no " CONTROL);
			return -1;
		}
		run_pause(LOAD_POLL_MS);
	}
	return 0;
}

/* --- devices --- */

static bool is_connected(int number)
{
	return blockdev_exists(name_of(PREFIX, number).text);
}

/* The driver takes each number. */
static bool may_name(int number, struct error *why)
{
	(void)number, (void)why;
	return true;
}

/* The device's character device remains when its front end was killed, and then
 * rswap-ublk deletes it first.  Swap on a device whose front end was killed
 * keeps the number until the machine restarts. */
static bool is_free(int number, struct error *why)
{
	char path[40];
	struct swap_usage swap;

	snprintf(path, sizeof path, "/dev/%s", name_of(PREFIX, number).text);
	if (is_connected(number))
		error_set(why, "a program serves it");
	else if (!swapinfo_read(path, &swap) || swap.active)
		error_set(why, "swap is on it, which no program serves any "
			       "more");
	else
		return true;
	return false;
}

/* A number that grows with each disk of this boot. */
static void identify(int number, char identity[DRIVER_IDENTITY_MAX])
{
	blockdev_text(name_of(PREFIX, number).text, "diskseq", identity,
		      DRIVER_IDENTITY_MAX);
}

/* The device counts as one client, however many queues it has. */
static unsigned connections(int number)
{
	(void)number;
	return 1;
}

/* --- a front end --- */

/* It writes the file once the device is there. */
static int greet(const struct driver_link *link, uint64_t deadline_ns)
{
	(void)deadline_ns;
	return settings_number(link->pidfile) ? 0 : -1;
}

/* Only the front end knows its device. */
static int find(const char *socket, const char *control)
{
	static const char dev[] = "/dev/" PREFIX;
	struct error ignored;
	struct json_object *answer;
	char path[32];
	uint64_t n;
	int number = -1;

	(void)socket;
	if (access(control, F_OK) < 0)
		return -1;
	answer = answer_ask(control, "status", &ignored);
	if (answer && answer_text(answer, "device", path, sizeof path) &&
	    !strncmp(path, dev, sizeof dev - 1) &&
	    number_parse(path + sizeof dev - 1, 0, NUMBERS - 1, &n))
		number = (int)n;
	answer_put(answer);
	return number;
}

static int connect_device(const struct driver_link *link, uint64_t deadline_ns,
			  bool *busy, struct error *why)
{
	int number = find(link->socket, link->control);

	(void)deadline_ns;
	*busy = false;
	if (number < 0)
		error_set(why, "%s does not tell its device", link->program);
	return number;
}

/* --- what is left --- */

/* The kernel keeps the number of a device whose front end was killed. */
static int sweep(int number, const char *program, struct error *why)
{
	char option[32], path[40];
	const char *const argv[] = { program, option, NULL };

	snprintf(path, sizeof path, "/dev/%s", name_of("ublkc", number).text);
	snprintf(option, sizeof option, "--delete=%d", number);
	if (access(path, F_OK) < 0 || is_connected(number))
		return 0;
	return run_must(argv, clock_now_ns() + DELETE_NS, why);
}

const struct driver driver_ublk = {
	.name = "ublk",
	.prefix = PREFIX,
	.numbers = NUMBERS,
	.made_by_front = true,
	.cut = "the kernel has ended the device",
	.is_there = is_there,
	.diagnose = diagnose,
	.load = load,
	.may_name = may_name,
	.is_free = is_free,
	.greet = greet,
	.connect = connect_device,
	.find = find,
	.is_connected = is_connected,
	.identify = identify,
	.connections = connections,
	.sweep = sweep,
};
