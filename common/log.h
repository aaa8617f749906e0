/* Where log lines go.  Code in common/, in the plugin's engine and in the
 * memory server logs through this, and each program says once, before its first
 * thread, where lines go.  Never called on the I/O path.
 *
 * Who reads the log may be slow, or stopped, or have its own memory swapped out
 * to the device that this process serves.  So from log_start on nobody here
 * waits for a reader: a line is put into a queue in memory that was there
 * before, and one thread writes.  A line that finds the queue full is dropped
 * and counted, and the count is told once the reader reads again.  logqueue.c
 * has that part.
 *
 * No line is without a limit of its rate: every call below has one of its own,
 * or uses one that the caller names. */
#ifndef RSWAP_LOG_H
#define RSWAP_LOG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum log_level {
	LOG_LEVEL_ERROR,  /* something is lost or refused; somebody must act */
	LOG_LEVEL_NOTICE, /* a change of state that an operator wants to see */
	LOG_LEVEL_DEBUG,
	/* no log line: what the service manager is told, where a program's sink
	 * knows one */
	LOG_LEVEL_MANAGER,
};

/* Lines that are longer are cut; with the end of string. */
#define LOG_LINE_BYTES 500

/* --- where lines go --- */

/* LINE is whole and without a newline.  One call at a time from log_start on,
 * by the writing thread; any thread before. */
typedef void log_sink(enum log_level level, const char *line);

/* Until this is called, errors and notices go to standard error. */
void log_to(log_sink *sink);

/* From here on nobody waits for a reader of the log.  Lines before are written
 * by the caller, so that what keeps a program from starting is seen.
 *
 * Standard error itself is taken over as well, since libraries and nbdkit write
 * there: its descriptor becomes a pipe that takes what fits and never blocks,
 * and the writing thread passes on what comes out of it.  Sinks write to
 * standard error as ever.
 *
 * In the process that serves, after its last fork.  The writing thread is an
 * ordinary one, whatever the caller's scheduling.  0, or a negative errno and
 * WHY.
 */
int log_start(struct error *why);

/* Writes what is in the queue, for a second at most, and ends the thread: lines
 * are written by the caller again.  False where the second was not enough:
 * nothing changes then, and what is in the queue goes with the process.  Before
 * the end of a program that called log_start; does nothing in another one. */
bool log_stop(void);

/* --- how many lines --- */

/* Of lines of one kind, or about one peer.  Zeroed it is ready for use, with
 * the limits that follow.  Lines beyond them are left out, and the next that
 * goes out says how many.  Any thread. */
struct log_limit {
	uint32_t lines;	    /* at most, each period; 0: LOG_LIMIT_LINES */
	uint32_t period_ms; /* 0: LOG_LIMIT_PERIOD_MS */
	_Atomic uint64_t began_ns;
	_Atomic uint32_t gone_out, left_out;
};

#define LOG_LIMIT_LINES	    20
#define LOG_LIMIT_PERIOD_MS 10000

/* Whether one more line may go out now; if so, *LEFT_OUT is how many were left
 * out since the last that did.  For lines that log_limited is not made for. */
bool log_limit_allows(struct log_limit *limit, uint32_t *left_out);

/* --- lines --- */

/* A line under a LIMIT that the caller keeps, such as one for each peer. Any
 * thread.  errno stays. */
__attribute__((format(printf, 3, 4))) void log_limited(struct log_limit *limit,
						       enum log_level level,
						       const char *format, ...);

__attribute__((format(printf, 3, 0))) void
log_limited_v(struct log_limit *limit, enum log_level level, const char *format,
	      va_list args);

/* A line under a limit of the place where this stands. */
#define LOG_HERE(level, ...)                                                   \
	do {                                                                   \
		static struct log_limit limit_here;                            \
                                                                               \
		log_limited(&limit_here, (level), __VA_ARGS__);                \
	} while (0)

#define log_error(...)	LOG_HERE(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_notice(...) LOG_HERE(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_debug(...)	LOG_HERE(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* --- between log.c and logqueue.c --- */

/* Puts LINE into the queue, or counts that it had no room.  False where there
 * is no queue: the caller writes. */
bool log_queue_put(enum log_level level, const char *line);
/* Writes LINE, and may wait for the reader. */
void log_write(enum log_level level, const char *line);

#endif
