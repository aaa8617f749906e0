/* Memory pressure on this machine, from the kernel's PSI ("some avg10" of
 * /proc/pressure/memory).  While the pressure is above --reclaim=PERCENT, the
 * server asks clients for slabs, again and again (release.h).  Main loop. */
#ifndef RSWAP_PRESSURE_H
#define RSWAP_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "server.h"

/* "some avg10" in the text of a PSI file, in hundredths of a percent.  False
 * when the text has none.  Pure. */
bool pressure_find(const char *psi, unsigned *hundredths);

/* Refuses --reclaim on a kernel that does not tell its memory pressure. */
bool pressure_check(const struct config *config, struct error *why);

/* Watches the pressure from now on, if --reclaim is given. */
void pressure_start(struct server *server);
void pressure_stop(struct server *server);

/* Reads the pressure once, at the time NOW_NS.  For the timer and for tests. */
void pressure_look(struct server *server, uint64_t now_ns);

#endif
