/* Log lines.  Code in common/, in the plugin's engine and in the memory server
 * logs through this.  Each program sets the sink of the lines once, before its
 * first thread.  Never called on the I/O path.
 *
 * The reader of the log may be slow, or stopped, or have its own memory swapped
 * out to the device that this process serves.  So from log_start on no thread
 * waits for a reader: a line goes into a queue in static memory, and one thread
 * writes.  If the queue is full, the line is dropped and counted, and the count
 * is logged once the reader reads again (logqueue.c).
 *
 * Every line has a limit of its rate: each call below has its own limit, or
 * uses one that the caller names. */
#ifndef RSWAP_LOG_H
#define RSWAP_LOG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

enum log_level {
	LOG_LEVEL_ERROR,  /* something is lost or refused: an operator acts */
	LOG_LEVEL_NOTICE, /* a change of state that an operator wants to see */
	LOG_LEVEL_DEBUG,
	/* no log line: a message to the service manager, if the program's sink
	 * knows one */
	LOG_LEVEL_MANAGER,
};

/* Lines that are longer are cut; with the end of string. */
#define LOG_LINE_BYTES 500

/* --- where lines go --- */

/* Writes LINE, which has no newline.  From log_start on only the writing thread
 * calls it, before that any thread. */
typedef void log_sink(enum log_level level, const char *line);

/* Until this is called, errors and notices go to standard error. */
void log_to(log_sink *sink);

/* From here on no thread waits for a reader of the log.  Before, the caller
 * itself writes a line, so that the error which keeps a program from starting
 * is seen.
 *
 * Standard error is redirected as well, because libraries and nbdkit write
 * there: its descriptor becomes a pipe that never blocks, and the writing
 * thread passes on its content.  Sinks still write to standard error.
 *
 * Call this in the process that serves, after its last fork.  The writing
 * thread has ordinary scheduling, whatever the caller's is.  0, or a negative
 * errno and WHY. */
int log_start(struct error *why);

/* Writes the lines of the queue, for a second at most, and ends the thread: the
 * caller itself writes lines again.  False if the second was not enough: then
 * nothing changes, and the lines of the queue are lost with the process.  Call
 * this before the end of a program that called log_start; in another one it
 * does nothing. */
bool log_stop(void);

/* How many lines were dropped since the start, because the queue was full.  Any
 * thread. */
uint64_t log_dropped(void);

/* --- how many lines --- */

/* A limit for lines of one kind, or about one peer.  A zeroed one is ready for
 * use, with the limits that follow.  Lines beyond the limit are left out, and
 * the next line that goes out says how many.  Any thread. */
struct log_limit {
	uint32_t lines;	    /* at most, each period; 0: LOG_LIMIT_LINES */
	uint32_t period_ms; /* 0: LOG_LIMIT_PERIOD_MS */
	_Atomic uint64_t began_ns;
	_Atomic uint32_t gone_out, left_out;
};

#define LOG_LIMIT_LINES	    20
#define LOG_LIMIT_PERIOD_MS 10000

/* Whether one more line may go out now; if so, *LEFT_OUT is the number of lines
 * left out since the last one.  For lines that do not go through log_limited.
 */
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

/* A line under a limit of its own place in the source. */
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

/* Puts LINE into the queue, or counts it as dropped.  False if there is no
 * queue: the caller writes. */
bool log_queue_put(enum log_level level, const char *line);
/* Writes LINE, and may wait for the reader. */
void log_write(enum log_level level, const char *line);

#endif
