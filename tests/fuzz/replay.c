/* The main function of a target that is built without libFuzzer: runs it with
 * each file that the command line names, and each file in the directories that
 * it names. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

static unsigned files;

/* The input has its exact size, so that a sanitizer sees what reads beyond.  By
 * open, as fopen may be the target's. */
static void run_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t *data;
	struct stat st;

	REQUIRE(fd >= 0 && !fstat(fd, &st));
	data = malloc((size_t)st.st_size);
	REQUIRE(data || !st.st_size);
	REQUIRE(read(fd, data, (size_t)st.st_size) == st.st_size);
	close(fd);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	files++;
}

static void run_directory(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort);

	REQUIRE(n >= 0);
	for (int i = 0; i < n; i++) {
		char file[PATH_MAX];

		snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			run_file(file);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (!stat(argv[i], &st) && S_ISDIR(st.st_mode))
			run_directory(argv[i]);
		else
			run_file(argv[i]);
	}
	printf("%u inputs\n", files);
	return files ? 0 : 1;
}
