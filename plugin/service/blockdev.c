#include "blockdev.h"

#include <pthread.h>
#include <string.h>

/* Taken for a copy of a few bytes, by threads that serve nobody's swap. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct blockdev_name served;

static bool is_disk(const char *path)
{
	static const char dev[] = "/dev/";
	const char *name = path + sizeof dev - 1;

	return !strncmp(path, dev, sizeof dev - 1) && *name &&
	       strlen(path) < sizeof served.path &&
	       !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789")];
}

bool blockdev_tell(const char *path)
{
	if (!is_disk(path))
		return false;
	pthread_mutex_lock(&lock);
	strcpy(served.path, path);
	pthread_mutex_unlock(&lock);
	return true;
}

struct blockdev_name blockdev_name(void)
{
	struct blockdev_name copy;

	pthread_mutex_lock(&lock);
	copy = served;
	pthread_mutex_unlock(&lock);
	return copy;
}
