/* Preloaded into a front end: when it removes a file, which it does at its end,
 * it also tries to make the one that RSWAP_TEST_ELSEWHERE names, and says how
 * that went. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

__attribute__((visibility("default"))) int unlink(const char *path)
{
	const char *elsewhere = getenv("RSWAP_TEST_ELSEWHERE");

	if (elsewhere) {
		int fd = open(elsewhere, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

		fprintf(stderr, "elsewhere: %s\n",
			fd < 0 ? strerror(errno) : "written");
		if (fd >= 0)
			close(fd);
	}
	return unlinkat(AT_FDCWD, path, 0);
}
