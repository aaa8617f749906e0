#include "secretfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool secretfile_is_credential(const char *path)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	size_t length = directory ? strlen(directory) : 0;

	return length && !strncmp(path, directory, length) &&
	       path[length] == '/' && !strstr(path, "/../");
}

static bool check_file(const char *path, int fd, struct error *why)
{
	mode_t others = secretfile_is_credential(path)
				? S_IRWXO | S_IWGRP | S_IXGRP
				: S_IRWXO | S_IRWXG;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		error_set(why, "%s", strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		error_set(why, "it is not a regular file");
		return false;
	}
	if (st.st_uid && st.st_uid != geteuid()) {
		error_set(why,
			  "it belongs to user %u: it must belong to root, or "
			  "to the user that runs this program (%u)",
			  (unsigned)st.st_uid, (unsigned)geteuid());
		return false;
	}
	if (st.st_mode & others) {
		error_set(why,
			  "others can read it (mode %04o): it must have mode "
			  "0600 or 0400",
			  (unsigned)st.st_mode & 07777);
		return false;
	}
	return true;
}

static int read_text(int fd, size_t max, char **text, size_t *bytes,
		     struct error *why)
{
	char *buffer = malloc(max + 1);
	size_t used = 0;
	ssize_t got = 1;

	if (!buffer) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	while (got > 0 && used <= max) {
		got = read(fd, buffer + used, max + 1 - used);
		used += got > 0 ? (size_t)got : 0;
	}
	if (got < 0)
		error_set(why, "%s", strerror(errno));
	else if (used > max)
		error_set(why, "it has more than %zu bytes", max);
	if (got < 0 || used > max) {
		secretfile_free(buffer, used);
		return -EIO;
	}
	buffer[used] = '\0';
	*text = buffer;
	*bytes = used;
	return 0;
}

int secretfile_read(const char *path, size_t max, char **text, size_t *bytes,
		    struct error *why)
{
	int rc = -EACCES;
	/* Not a reader that waits for the writer of a pipe. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0) {
		rc = -errno;
		error_set(why, "%s", strerror(errno));
		return rc;
	}
	if (check_file(path, fd, why))
		rc = read_text(fd, max, text, bytes, why);
	close(fd);
	return rc;
}

void secretfile_free(char *text, size_t bytes)
{
	explicit_bzero(text, bytes);
	free(text);
}
