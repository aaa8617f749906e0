/* Where the daemon's log lines go: standard error, in the form that the
 * journal understands when systemd started the daemon.  No thread waits for the
 * reader of the log (common/log.h), nor for the service manager. */
#ifndef RSWAP_MEMSERVER_OUTPUT_H
#define RSWAP_MEMSERVER_OUTPUT_H

#include "error.h"
#include "peername.h"

/* Call before the first thread starts; call log_stop at the end.  0, or a
 * negative errno and WHY. */
int output_start(struct error *why);

/* Lines that PEER causes.  output_peer is for complaints, and begins with the
 * peer's name; output_news is for the news of its session.  Every host that
 * reaches the port can cause such lines, so each kind has a limit per second
 * and peer (peerlimit.h).  The next line tells how many were left out.  Any
 * thread. */
__attribute__((format(printf, 2, 3))) void
output_peer(const struct peer_name *peer, const char *format, ...);
__attribute__((format(printf, 2, 3))) void
output_news(const struct peer_name *peer, const char *format, ...);

/* Sends a message in the form of sd_notify(3) to the service manager, if there
 * is one.  Any thread. */
__attribute__((format(printf, 1, 2))) void output_manager(const char *format,
							  ...);

#endif
