/* Accepting the connections of one listening address.  Main loop. */
#ifndef RSWAP_MEMSERVER_ACCEPT_H
#define RSWAP_MEMSERVER_ACCEPT_H

#include "listener.h"

void accept_start(struct listener *l);
void accept_stop(struct listener *l);

#endif
