/* What the kernel's OOM killer thinks of this process. */
#ifndef RSWAP_OOMSCORE_H
#define RSWAP_OOMSCORE_H

/* Tells the kernel never to choose this process: its OOM score is -1000 from
 * here on.  0 or an errno.  Before the process is not dumpable, after which the
 * file is root's.  Any thread. */
int oomscore_never(void);

#endif
