#include "support.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

uint64_t after_ms(uint64_t ms)
{
	return clock_now_ns() + ms * NS_PER_MS;
}

void sleep_ms(unsigned ms)
{
	struct timespec pause = clock_timespec(ms * NS_PER_MS);

	nanosleep(&pause, NULL);
}

/* A thread that has ended meanwhile is as good as asleep. */
static bool asleep(const char *tid)
{
	char path[64], text[256] = "";
	const char *name_end;
	FILE *file;

	snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", tid);
	file = fopen(path, "r");
	if (!file)
		return true;
	if (!fgets(text, sizeof text, file))
		text[0] = '\0';
	fclose(file);
	name_end = strrchr(text, ')');
	return !name_end || name_end[2] != 'R';
}

static bool all_others_asleep(void)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	bool all = true;
	long own = syscall(SYS_gettid);

	while (tasks && all && (task = readdir(tasks)))
		all = task->d_name[0] == '.' || atol(task->d_name) == own ||
		      asleep(task->d_name);
	if (tasks)
		closedir(tasks);
	return all;
}

/* Twice in a row: a thread that is woken may be seen before it runs. */
void wait_until_asleep(void)
{
	uint64_t deadline_ns = after_ms(LONG_MS);
	int seen = 0;

	while (seen < 2 && clock_now_ns() < deadline_ns) {
		seen = all_others_asleep() ? seen + 1 : 0;
		sleep_ms(1);
	}
}

uint64_t random_seed(void)
{
	const char *given = getenv("RSWAP_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : clock_now_ns();

	print_message("RSWAP_TEST_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* splitmix64 */
uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void random_fill(uint64_t *state, void *buf, size_t bytes)
{
	unsigned char *p = buf;

	for (size_t i = 0; i < bytes; i++)
		p[i] = (unsigned char)random_next(state);
}

pthread_t thread_start(void *(*run)(void *arg), void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, arg), 0);
	return thread;
}

void thread_end(pthread_t thread)
{
	assert_int_equal(pthread_join(thread, NULL), 0);
}

void assert_contains(const char *haystack, const char *needle)
{
	if (!strstr(haystack, needle))
		fail_msg("\"%s\" does not contain \"%s\"", haystack, needle);
}

int test_token(void *owner, struct wire_join *token, struct error *why)
{
	(void)owner;
	(void)why;
	*token = (struct wire_join){ .session = 7, .lane = 3 };
	memset(token->token, 0xab, sizeof token->token);
	return 0;
}

static void to_nowhere(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

void quiet_log(void)
{
	log_to(to_nowhere);
}
