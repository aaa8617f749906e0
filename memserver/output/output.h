/* Where the daemon's log lines go: standard error, in the form that the
 * journal understands when systemd started it.  Nobody waits for who reads them
 * (common/log.h), and the same holds for the service manager. */
#ifndef RSWAP_MEMSERVER_OUTPUT_H
#define RSWAP_MEMSERVER_OUTPUT_H

#include "error.h"
#include "net.h"

/* Before the first thread; log_stop at the end.  0, or a negative errno and
 * WHY.
 */
int output_start(struct error *why);

/* Lines that PEER causes: complaints, which begin with its address, and the
 * news of its session.  Anybody who reaches the port can cause these, so of
 * each kind and from each address only some get through per second
 * (peerlimit.h); how many did not is said with the next one that does.  Any
 * thread. */
__attribute__((format(printf, 2, 3))) void
output_peer(const struct net_text *peer, const char *format, ...);
__attribute__((format(printf, 2, 3))) void
output_news(const struct net_text *peer, const char *format, ...);

/* Tells the service manager, if any, in the words of sd_notify(3).  Any thread.
 */
__attribute__((format(printf, 1, 2))) void output_manager(const char *format,
							  ...);

#endif
