/* A whole screen that is drawn again and again, and keys.  The terminal is as
 * before afterwards, also where the program ends by exit(). */
#ifndef RSWAPCTL_TERM_H
#define RSWAPCTL_TERM_H

#include <stdbool.h>

/* Standard output has to be a terminal.  Keys come from standard input, if that
 * is one too. */
void term_open(void);
void term_close(void);

int term_columns(void);

/* Makes the screen show TEXT: lines that are too long or too many are cut.  The
 * first line is the title. */
void term_draw(const char *text);

/* Waits for a key for MS milliseconds.  0: none came, or the screen has another
 * size now. */
char term_key(unsigned ms);

#endif
