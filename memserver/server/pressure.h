/* Memory pressure on this machine, as the kernel's PSI tells it ("some avg10"
 * of /proc/pressure/memory): above --reclaim=PERCENT clients are asked for
 * slabs, again and again while it lasts (release.h).  Main loop. */
#ifndef RSWAP_PRESSURE_H
#define RSWAP_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "server.h"

/* "some avg10" in the text of a PSI file, in hundredths of a percent. False
 * where it is not there.  Pure. */
bool pressure_find(const char *psi, unsigned *hundredths);

/* Refuses where --reclaim is given and the kernel tells nothing. */
bool pressure_check(const struct config *config, struct error *why);

/* Watches from now on, where --reclaim is given. */
void pressure_start(struct server *server);
void pressure_stop(struct server *server);

/* One look, at the time NOW_NS.  The timer's; for tests. */
void pressure_look(struct server *server, uint64_t now_ns);

#endif
