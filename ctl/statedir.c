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
#include "ctlsock.h"
#include "nbddev.h"
#include "newfile.h"
#include "run.h"

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

struct state_path statedir_backend(const char *name)
{
	return statedir_path(name, "nbd.sock");
}

void statedir_recall(struct state *state)
{
	struct state_path socket = statedir_path(state->name, "nbd.sock");
	int number;

	if (state->pid == 0) {
		state->pid = run_find_process("nbdkit", socket.text);
		state->start = run_start_time(state->pid);
	}
	if (*state->device)
		return;
	number = nbddev_find_backend(statedir_backend(state->name).text);
	if (number < 0)
		return;
	snprintf(state->device, sizeof state->device, "/dev/nbd%d", number);
	state->named = true;
}

/* An old state directory is in use as long as its nbdkit runs or its device is
 * connected. */
bool statedir_in_use(const char *name, struct error *why)
{
	struct state state;
	struct error ignored;
	int number;

	statedir_load(name, &state, &ignored);
	statedir_recall(&state);
	number = nbddev_number(state.device);
	if (statedir_running(&state))
		error_set(why,
			  "%s is attached already (%s, nbdkit is process "
			  "%d); rswapctl detach %s ends it",
			  name, *state.device ? state.device : "no device",
			  (int)state.pid, name);
	else if (number >= 0 && nbddev_connected(number))
		error_set(why,
			  "%s is still connected to %s, though its "
			  "nbdkit is gone; run rswapctl detach %s",
			  name, state.device, name);
	else
		return false;
	return true;
}

int statedir_create(const char *name, struct error *why)
{
	struct state_path dir = statedir_path(name, "");

	if (strlen(dir.text) + strlen("/control.sock") >= STATE_PATH_MAX) {
		error_set(why, "%s: too long for a socket's path", dir.text);
		return -1;
	}
	if (mkdir(statedir_root(), 0755) < 0 && errno != EEXIST) {
		error_set(why, "%s: %s", statedir_root(), strerror(errno));
		return -1;
	}
	if (statedir_in_use(name, why))
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
	static const char *const files[] = { "nbd.sock", "control.sock",
					     "nbdkit.pid", "log", "state" };

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		unlink(statedir_path(name, files[i]).text);
	remove_temporaries(statedir_path(name, "").text);
	rmdir(statedir_path(name, "").text);
}

int statedir_save(const struct state *state, struct error *why)
{
	char text[sizeof state->servers + 256];
	int n = snprintf(text, sizeof text,
			 "device %s\nnamed %d\nsize_bytes %" PRIu64
			 "\npid %d\nstart %" PRIu64 "\nservers %s\n",
			 *state->device ? state->device : "-", state->named,
			 state->size_bytes, (int)state->pid, state->start,
			 state->servers);

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

	*state = (struct state){ 0 };
	snprintf(state->name, sizeof state->name, "%s", name);
	if (!f) {
		error_set(why, "%s: %s", path.text, strerror(errno));
		return -1;
	}
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	ctlsock_value(text, "servers", state->servers, sizeof state->servers);
	if (ctlsock_value(text, "size_bytes", value, sizeof value))
		state->size_bytes = strtoull(value, NULL, 10);
	if (ctlsock_value(text, "named", value, sizeof value))
		state->named = !strcmp(value, "1");
	if (ctlsock_value(text, "pid", value, sizeof value))
		state->pid = (pid_t)strtol(value, NULL, 10);
	if (ctlsock_value(text, "start", value, sizeof value))
		state->start = strtoull(value, NULL, 10);
	if (!ctlsock_value(text, "device", state->device,
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

int statedir_lock(const char *name, uint64_t deadline_ns, struct error *why)
{
	struct state_path path;
	char file[STATE_NAME_MAX + 8];
	int fd;

	snprintf(file, sizeof file, ".%.32s.lock", name);
	path = statedir_path(file, "");
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
