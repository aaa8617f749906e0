/* Lines of what is not as it should be: in systemd's journal they have their
 * priority (sd-daemon(3)).  FORMAT is without a newline. */
#ifndef RSWAPCTL_WARNING_H
#define RSWAPCTL_WARNING_H

/* "  warning: ..." on standard output: no reason to stop. */
void warning_print(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

/* Why a command that units run, too, has failed: on standard error. */
void warning_error(const char *format, ...)
	__attribute__((format(printf, 1, 2)));

#endif
