/* Signals that end a process by default, and by which nobody asks for its end.
 */
#ifndef RSWAP_SIGNALS_H
#define RSWAP_SIGNALS_H

/* Ignores them where they have their default effect: a server of other
 * machines' pages, or of this machine's swap, must not end because a terminal
 * closed, a key was pressed, or some other program takes the signal for a
 * request.
 *
 * Not SIGTERM and SIGINT, which ask for the end; nor those that tell of a fault
 * of the process; nor SIGTSTP.  What handles one of them keeps it.  Any thread,
 * best before any other. */
void signals_ignore_stray(void);

#endif
