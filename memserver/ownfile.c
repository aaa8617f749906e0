#include "ownfile.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "newfile.h"

static bool is_at(int fd, const char *path)
{
	struct stat mine, there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	       mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

/* The file belongs to another running server: WHY quotes the file. */
static int refuse_locked(int fd, const char *path, struct error *why)
{
	char text[32] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	for (ssize_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)text[i]))
			text[i] = '\0';
	}
	error_set(why,
		  "%.120s is in use by a running memory server (the file "
		  "has \"%s\"); give this server a file of its own",
		  path, text);
	return -EADDRINUSE;
}

static int refuse_kind(const char *path, struct error *why)
{
	error_set(why, "%.150s exists and is not a regular file", path);
	return -EEXIST;
}

/* Replaces the file FD by TEMPORARY, which this server has locked.  Takes the
 * lock of the old file first, so that only one of two servers replaces it.
 * -EAGAIN: another server was faster. */
static int replace_old(int fd, const char *temporary, const char *path,
		       struct error *why)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return refuse_kind(path, why);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? refuse_locked(fd, path, why)
					    : -errno;
	if (!is_at(fd, path))
		return -EAGAIN;
	return rename(temporary, path) < 0 ? -errno : 0;
}

/* WHY stays empty when the errno is enough. */
static int put_in_place(const char *temporary, const char *path,
			struct error *why)
{
	for (;;) {
		int fd, err;

		if (link(temporary, path) == 0) {
			unlink(temporary);
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
		/* Follows no symbolic link, and does not wait for a pipe. */
		fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			return errno == ELOOP ? refuse_kind(path, why) : -errno;
		err = replace_old(fd, temporary, path, why);
		close(fd);
		if (err != -EAGAIN)
			return err;
	}
}

int ownfile_make(struct ownfile *file, const char *path, const char *text,
		 struct error *why)
{
	char temporary[NEWFILE_PATH_MAX];
	struct error detail = { "" };
	int fd = newfile_create(path, text, temporary);
	int err = fd < 0 ? fd : 0;

	if (!err && flock(fd, LOCK_EX | LOCK_NB) < 0)
		err = -errno;
	if (!err)
		err = put_in_place(temporary, path, &detail);
	if (!err) {
		*file = (struct ownfile){ .path = path, .fd = fd };
		return 0;
	}
	if (fd >= 0) {
		close(fd);
		unlink(temporary);
	}
	if (detail.text[0])
		*why = detail;
	else
		error_set(why, "cannot write %.150s: %s", path, strerror(-err));
	return err;
}

void ownfile_remove(struct ownfile *file)
{
	if (!file->path)
		return;
	if (is_at(file->fd, file->path))
		unlink(file->path);
	close(file->fd);
	*file = (struct ownfile){ .path = NULL };
}
