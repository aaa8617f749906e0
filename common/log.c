#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"

/* Two threads at the turn of a period may let one line more go out. */
bool log_limit_allows(struct log_limit *limit, uint32_t *left_out)
{
	uint32_t lines = limit->lines ? limit->lines : LOG_LIMIT_LINES;
	uint32_t period_ms =
		limit->period_ms ? limit->period_ms : LOG_LIMIT_PERIOD_MS;
	uint64_t began_ns = atomic_load(&limit->began_ns);
	uint64_t now_ns = clock_now_ns();

	if ((!began_ns || now_ns >= began_ns + period_ms * NS_PER_MS) &&
	    atomic_compare_exchange_strong(&limit->began_ns, &began_ns, now_ns))
		atomic_store(&limit->gone_out, 0);
	if (atomic_fetch_add(&limit->gone_out, 1) < lines) {
		*left_out = atomic_exchange(&limit->left_out, 0);
		return true;
	}
	atomic_fetch_add(&limit->left_out, 1);
	return false;
}

void log_limited_v(struct log_limit *limit, enum log_level level,
		   const char *format, va_list args)
{
	char line[LOG_LINE_BYTES], note[48] = "";
	int saved_errno = errno;
	uint32_t left_out;
	size_t used;

	if (!log_limit_allows(limit, &left_out))
		return;
	if (left_out)
		snprintf(note, sizeof note, " (after %u lines left out)",
			 left_out);
	errno = saved_errno; /* for %m */
	vsnprintf(line, sizeof line - strlen(note), format, args);
	used = strlen(line);
	memcpy(line + used, note, strlen(note) + 1);
	if (!log_queue_put(level, line))
		log_write(level, line);
	errno = saved_errno;
}

void log_limited(struct log_limit *limit, enum log_level level,
		 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_limited_v(limit, level, format, args);
	va_end(args);
}
