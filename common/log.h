/* Where log lines go.  Code in common/ and in the plugin's engine logs through
 * this, and each program says once, before its first thread, where lines go.
 * Never called on the I/O path. */
#ifndef RSWAP_LOG_H
#define RSWAP_LOG_H

enum log_level {
	LOG_LEVEL_ERROR,  /* something is lost or refused; somebody must act */
	LOG_LEVEL_NOTICE, /* a change of state that an operator wants to see */
	LOG_LEVEL_DEBUG,
};

/* LINE is whole and without a newline. */
typedef void log_sink(enum log_level level, const char *line);

/* Until this is called, errors and notices go to standard error. */
void log_to(log_sink *sink);

/* Any thread. Lines over 500 bytes are cut. */
__attribute__((format(printf, 1, 2))) void log_error(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_notice(const char *format, ...);
__attribute__((format(printf, 1, 2))) void log_debug(const char *format, ...);

#endif
