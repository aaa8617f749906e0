/* Whether what a program says goes to systemd's journal. */
#ifndef RSWAP_JOURNAL_H
#define RSWAP_JOURNAL_H

#include <stdbool.h>

#include "log.h"

/* Whether FD is the stream to the journal that systemd gave to this process, or
 * to one that started it.  JOURNAL_STREAM alone does not tell: a program in a
 * pipe, or in a terminal, inherits it too (systemd.exec(5)). */
bool journal_has(int fd);

/* What a line begins with there, its priority (sd-daemon(3)): 3, an error, or
 * 5, a notice.  "" for what is no log line. */
const char *journal_priority(enum log_level level);

#endif
