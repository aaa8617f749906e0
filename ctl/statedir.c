#include "statedir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "keyvalue.h"
#include "newfile.h"
#include "run.h"
#include "swapinfo.h"

const char *statedir_root(void)
{
	const char *root = getenv("RSWAP_RUN_DIR");

	return root && *root ? root : "/run/rswap";
}

bool statedir_name_ok(const char *name)
{
	size_t length = strlen(name);

	if (!length || length > STATE_NAME_MAX || name[0] == '.' ||
	    name[0] == '-')
		return false;
	for (const char *p = name; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("._-", *p))
			return false;
	}
	return true;
}

struct state_path statedir_path(const char *name, const char *file)
{
	struct state_path path;

	snprintf(path.text, sizeof path.text, "%s/%s%s%s", statedir_root(),
		 name, *file ? "/" : "", file);
	return path;
}

int statedir_number(const struct state *state)
{
	int number;

	return driver_of(state->device, &number) == state->front->driver
		       ? number
		       : -1;
}

void statedir_set_device(struct state *state, int number)
{
	const struct driver *driver = state->front->driver;

	snprintf(state->device, sizeof state->device, "/dev/%s",
		 driver_device(driver, number).text);
	driver->identify(number, state->identity);
}

bool statedir_is_foreign(const struct state *state)
{
	const struct driver *driver = state->front->driver;
	char identity[DRIVER_IDENTITY_MAX];
	int number = statedir_number(state);

	if (!*state->identity || number < 0 || !driver->is_connected(number))
		return false;
	driver->identify(number, identity);
	return strcmp(identity, state->identity) != 0;
}

bool statedir_is_connected(const struct state *state)
{
	int number = statedir_number(state);

	return number >= 0 && state->front->driver->is_connected(number) &&
	       !statedir_is_foreign(state);
}

void statedir_recall(struct state *state)
{
	struct state_path control = statedir_path(state->name, "control.sock");
	int number;

	if (state->pid == 0)
		state->pid = front_find_process(control.text, &state->front,
						&state->start);
	if (*state->device)
		return;
	number = state->front->driver->find(
		statedir_path(state->name, "nbd.sock").text, control.text);
	if (number >= 0)
		statedir_set_device(state, number);
}

/* An old state directory is in use as long as its front end runs or its device
 * is connected. */
bool statedir_in_use(const char *name, struct error *why)
{
	struct state state;
	struct error ignored;

	statedir_load(name, &state, &ignored);
	statedir_recall(&state);
	if (statedir_running(&state))
		error_set(why,
			  "%s is attached already (%s, %s is process "
			  "%d); rswapctl detach %s ends it",
			  name, *state.device ? state.device : "no device",
			  state.front->program, (int)state.pid, name);
	else if (statedir_is_connected(&state))
		error_set(why,
			  "%s is still connected to %s, though its %s is "
			  "gone; run rswapctl detach %s",
			  name, state.device, state.front->program, name);
	else
		return false;
	return true;
}

/* Whether the path of a socket in the directory of NAME fits. */
static bool has_room(const char *name, struct error *why)
{
	struct state_path dir = statedir_path(name, "");

	if (strlen(dir.text) + strlen("/control.sock") < STATE_PATH_MAX)
		return true;
	error_set(why, "%s: too long for a socket's path", dir.text);
	return false;
}

/* Whether swap is still on at the device of a directory that is not in use. */
static bool has_swap(const struct state *state)
{
	struct swap_usage swap;

	return statedir_number(state) >= 0 && !statedir_is_foreign(state) &&
	       (!swapinfo_read(state->device, &swap) || swap.active);
}

/* Swap on a device that has ended with its front end stays on until the machine
 * restarts (driver.h).  What is known of it goes to the name NAME.ublkbN, so
 * that NAME can be used again, and status and check go on telling.  Until then
 * no other swap has that device. */
static int keep_dead_swap(const char *name, struct error *why)
{
	char kept[STATE_NAME_MAX + 1];
	struct error ignored;
	struct state state;

	if (statedir_load(name, &state, &ignored) < 0 || !has_swap(&state))
		return 0;
	snprintf(kept, sizeof kept, "%.19s.%.12s", name,
		 state.device + strlen("/dev/"));
	if (!has_room(kept, why) || statedir_in_use(kept, why))
		return -1;
	statedir_remove(kept);
	if (rename(statedir_path(name, "").text, statedir_path(kept, "").text) <
	    0) {
		error_set(why, "%s: can't be renamed to %s: %s",
			  statedir_path(name, "").text, kept, strerror(errno));
		return -1;
	}
	printf("  swap on %s is dead, and is called %s from now on\n",
	       state.device, kept);
	return 0;
}

int statedir_create(const char *name, struct error *why)
{
	struct state_path dir = statedir_path(name, "");

	if (!has_room(name, why))
		return -1;
	if (mkdir(statedir_root(), 0755) < 0 && errno != EEXIST) {
		error_set(why, "%s: %s", statedir_root(), strerror(errno));
		return -1;
	}
	if (statedir_in_use(name, why) || keep_dead_swap(name, why) < 0)
		return -1;
	statedir_remove(name);
	if (mkdir(dir.text, 0700) < 0) {
		error_set(why, "%s: %s", dir.text, strerror(errno));
		return -1;
	}
	return 0;
}

/* Temporary files of a newfile_replace that was killed (newfile.h). */
static void remove_temporaries(const char *dir_path)
{
	DIR *dir = opendir(dir_path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		size_t length = strlen(entry->d_name);

		if (length > 4 && !strcmp(entry->d_name + length - 4, ".tmp"))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

void statedir_remove(const char *name)
{
	static const char *const files[] = {
		"nbd.sock", "control.sock", "pid", "log", "state", "queue"
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		unlink(statedir_path(name, files[i]).text);
	remove_temporaries(statedir_path(name, "").text);
	rmdir(statedir_path(name, "").text);
}

int statedir_save(const struct state *state, struct error *why)
{
	char text[sizeof *state + 256];
	int n = snprintf(text, sizeof text,
			 "device %s\nidentity %s\nsize_bytes %" PRIu64
			 "\nfront %s\nchoice %s\npid %d\nstart %" PRIu64
			 "\nattaching %s\nservers %s\n",
			 *state->device ? state->device : "-",
			 *state->identity ? state->identity : "-",
			 state->size_bytes, state->front->name, state->choice,
			 (int)state->pid, state->start,
			 state->attaching ? "yes" : "no", state->servers);

	if (n < 0 || (size_t)n >= sizeof text) {
		error_set(why, "%s: too much to write", state->name);
		return -1;
	}
	return newfile_replace(statedir_path(state->name, "state").text, text,
			       why) < 0
		       ? -1
		       : 0;
}

int statedir_load(const char *name, struct state *state, struct error *why)
{
	struct state_path path = statedir_path(name, "state");
	FILE *f = fopen(path.text, "re");
	char text[2048], value[32];
	size_t n;

	*state = (struct state){ .front = &front_nbdkit };
	snprintf(state->name, sizeof state->name, "%s", name);
	if (!f) {
		error_set(why, "%s: %s", path.text, strerror(errno));
		return -1;
	}
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	keyvalue_get(text, "servers", state->servers, sizeof state->servers);
	keyvalue_get(text, "choice", state->choice, sizeof state->choice);
	if (keyvalue_get(text, "front", value, sizeof value) &&
	    front_by_name(value))
		state->front = front_by_name(value);
	if (keyvalue_get(text, "size_bytes", value, sizeof value))
		state->size_bytes = strtoull(value, NULL, 10);
	if (!keyvalue_get(text, "identity", state->identity,
			  sizeof state->identity) ||
	    !strcmp(state->identity, "-"))
		*state->identity = '\0';
	if (keyvalue_get(text, "pid", value, sizeof value))
		state->pid = (pid_t)strtol(value, NULL, 10);
	if (keyvalue_get(text, "start", value, sizeof value))
		state->start = strtoull(value, NULL, 10);
	state->attaching =
		keyvalue_get(text, "attaching", value, sizeof value) &&
		!strcmp(value, "yes");
	if (!keyvalue_get(text, "device", state->device,
			  sizeof state->device) ||
	    !strcmp(state->device, "-"))
		*state->device = '\0';
	return 0;
}

bool statedir_running(const struct state *state)
{
	return state->pid > 0 && run_alive(state->pid) &&
	       run_start_time(state->pid) == state->start;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int statedir_list(char names[][STATE_NAME_MAX + 1], int max)
{
	DIR *dir = opendir(statedir_root());
	struct dirent *entry;
	int n = 0;

	if (!dir)
		return 0;
	while (n < max && (entry = readdir(dir))) {
		struct stat st;

		if (!statedir_name_ok(entry->d_name) ||
		    stat(statedir_path(entry->d_name, "").text, &st) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		/* it fits: the name was checked */
		strcpy(names[n++], entry->d_name);
	}
	closedir(dir);
	qsort(names, (size_t)n, sizeof names[0], by_name);
	return n;
}

/* Names the holder of the lock, if the lock's file has its pid. */
static void tell_holder(int fd, const char *path, struct error *why)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof pid - 1, 0);

	pid[n > 0 ? strcspn(pid, "\n") : 0] = '\0';
	error_set(why, "another rswapctl (process %s) is at work on it: %s",
		  *pid ? pid : "unknown", path);
}

static int lock_file(const char *file, uint64_t deadline_ns, struct error *why)
{
	struct state_path path = statedir_path(file, "");
	int fd;

	mkdir(statedir_root(), 0755);
	fd = open(path.text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_set(why, "%s: %s", path.text, strerror(errno));
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (!deadline_ns || run_interrupted() ||
		    !clock_left_ns(deadline_ns)) {
			tell_holder(fd, path.text, why);
			close(fd);
			return -1;
		}
		run_pause(50);
	}
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
	return fd;
}

int statedir_lock(const char *name, uint64_t deadline_ns, struct error *why)
{
	char file[STATE_NAME_MAX + 8];

	snprintf(file, sizeof file, ".%.32s.lock", name);
	return lock_file(file, deadline_ns, why);
}

int statedir_lock_settings(uint64_t deadline_ns, struct error *why)
{
	return lock_file(".settings-lock", deadline_ns, why);
}
