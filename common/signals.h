/* Signals that end a process by default, but are not sent to ask for its end.
 */
#ifndef RSWAP_SIGNALS_H
#define RSWAP_SIGNALS_H

/* Ignores these signals if they have their default effect.  A server of other
 * machines' pages, or of this machine's swap, must not end because a terminal
 * closed, a key was pressed, or another program uses the signal for a request.
 *
 * Does not touch SIGTERM and SIGINT, which ask for the end; signals that report
 * a fault of the process; and SIGTSTP. A signal with a handler keeps it.  Any
 * thread, best before the other threads start. */
void signals_ignore_stray(void);

#endif
