#include "newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* One random name may be taken; ten in a row are not. */
#define NAMES_TRIED 10

static int write_all(int fd, const char *text)
{
	size_t bytes = strlen(text);

	while (bytes) {
		ssize_t put = write(fd, text, bytes);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		text += put;
		bytes -= (size_t)put;
	}
	return 0;
}

/* O_EXCL: fails if the name exists, also as a symbolic link. */
static int open_new(const char *path, char temporary[NEWFILE_PATH_MAX])
{
	for (int i = 0; i < NAMES_TRIED; i++) {
		uint64_t random;
		int length, fd;

		if (getrandom(&random, sizeof random, 0) != sizeof random)
			return -EIO;
		length = snprintf(temporary, NEWFILE_PATH_MAX,
				  "%s.%016" PRIx64 ".tmp", path, random);
		if (length >= NEWFILE_PATH_MAX)
			return -ENAMETOOLONG;
		fd = open(temporary,
			  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			  0644);
		if (fd >= 0 || errno != EEXIST)
			return fd >= 0 ? fd : -errno;
	}
	return -EEXIST;
}

int newfile_create(const char *path, const char *text,
		   char temporary[NEWFILE_PATH_MAX])
{
	int fd = open_new(path, temporary);
	int err = fd < 0 ? fd : write_all(fd, text);

	if (!err || fd < 0)
		return fd;
	close(fd);
	unlink(temporary);
	return err;
}

int newfile_replace(const char *path, const char *text, struct error *why)
{
	char temporary[NEWFILE_PATH_MAX];
	int fd = newfile_create(path, text, temporary);
	int err = fd < 0 ? fd : 0;

	/* Some file systems report a full disk only at close. */
	if (fd >= 0 && close(fd) < 0)
		err = -errno;
	if (!err && rename(temporary, path) < 0)
		err = -errno;
	if (!err)
		return 0;
	if (fd >= 0)
		unlink(temporary);
	error_set(why, "cannot write %.150s: %s", path, strerror(-err));
	return err;
}
