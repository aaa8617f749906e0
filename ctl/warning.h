/* A line of what is not as it should be, and is no reason to stop. */
#ifndef RSWAPCTL_WARNING_H
#define RSWAPCTL_WARNING_H

/* "  warning: ..." on standard output, without a newline in FORMAT.  In
 * systemd's journal the line has the priority of a warning (sd-daemon(3)). */
void warning_print(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
