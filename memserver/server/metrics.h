/* What the memory server tells of itself, in Prometheus' text format:
 * docs/monitoring.md says what each metric means.  On the main loop. */
#ifndef RSWAP_METRICS_H
#define RSWAP_METRICS_H

#include <stdio.h>

#include "server.h"

void metrics_write(struct server *server, FILE *out);

#endif
