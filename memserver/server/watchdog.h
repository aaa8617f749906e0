/* The service manager's watchdog (WatchdogSec= of the unit), which ends a
 * server that hangs.  The main loop answers, and only if each data thread has
 * run since the last answer.  So an answer says that all loops turn.
 *
 * An end of the server loses the pages of its clients.  So the server asks the
 * manager for a watchdog that is longer than the grace time: by then the
 * clients of a server that hangs have given it up anyway.
 *
 * Main loop. */
#ifndef RSWAP_WATCHDOG_H
#define RSWAP_WATCHDOG_H

struct server;

/* Does nothing where the manager wants no answers.  All threads run. */
void watchdog_start(struct server *server);
/* The data threads still run. */
void watchdog_stop(struct server *server);

#endif
