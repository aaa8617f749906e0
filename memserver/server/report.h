/* What the memory server tells of itself, as JSON: rswap-memserver(8) explains
 * each member.  On the main loop. */
#ifndef RSWAP_REPORT_H
#define RSWAP_REPORT_H

#include <stdio.h>

#include "server.h"

/* Each writes one object and a newline: the answers to "status", and to "drain"
 * and "undrain". */
void report_status(struct server *server, FILE *out);
void report_drain(struct server *server, FILE *out);

#endif
