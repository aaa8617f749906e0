#include "output.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "log.h"

#define PEER_LINES_PER_SECOND 10

static bool under_journal;

static void to_stderr(enum log_level level, const char *line)
{
	static const char *const priority[] = {
		[LOG_LEVEL_ERROR] = "<3>", [LOG_LEVEL_NOTICE] = "<5>"
	};

	if (level == LOG_LEVEL_DEBUG)
		return;
	/* one call, so that lines of several threads don't mix */
	fprintf(stderr, "%s%s\n",
		under_journal ? priority[level] : "rswap-memserver: ", line);
}

void output_start(void)
{
	under_journal = getenv("JOURNAL_STREAM") || getenv("INVOCATION_ID");
	log_to(to_stderr);
}

/* How many lines of a kind go out per second. */
struct limit {
	unsigned lines_per_second;
	uint64_t second_ends_ns;
	unsigned lines; /* in this second */
	unsigned lost;	/* since the last that went out */
};

/* Protects both, and is a leaf. */
static pthread_mutex_t limit_lock = PTHREAD_MUTEX_INITIALIZER;
static struct limit peer_limit = { .lines_per_second = 10 };
static struct limit news_limit = { .lines_per_second = 50 };

/* Whether one more line may go out; *LOST: how many could not before it. */
static bool line_allowed(struct limit *limit, unsigned *lost)
{
	uint64_t now_ns = clock_now_ns();
	bool allowed;

	pthread_mutex_lock(&limit_lock);
	if (now_ns >= limit->second_ends_ns) {
		limit->second_ends_ns = now_ns + NS_PER_S;
		limit->lines = 0;
	}
	allowed = limit->lines < limit->lines_per_second;
	*lost = 0;
	if (allowed) {
		limit->lines++;
		*lost = limit->lost;
		limit->lost = 0;
	} else {
		limit->lost++;
	}
	pthread_mutex_unlock(&limit_lock);
	return allowed;
}

static void output_limited(struct limit *limit, enum log_level level,
			   const char *format, va_list args)
{
	char line[400];
	char left_out[48] = "";
	unsigned lost;

	if (!line_allowed(limit, &lost))
		return;
	vsnprintf(line, sizeof line, format, args);
	if (lost)
		snprintf(left_out, sizeof left_out,
			 " (after %u lines left out)", lost);
	if (level == LOG_LEVEL_ERROR)
		log_error("%s%s", line, left_out);
	else
		log_notice("%s%s", line, left_out);
}

void output_peer(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	output_limited(&peer_limit, LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void output_news(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	output_limited(&news_limit, LOG_LEVEL_NOTICE, format, args);
	va_end(args);
}
