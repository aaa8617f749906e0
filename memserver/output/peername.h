/* What log lines call a peer. */
#ifndef RSWAP_MEMSERVER_PEERNAME_H
#define RSWAP_MEMSERVER_PEERNAME_H

#include "net.h"

/* "IDENTITY@ADDRESS" for a peer that proved an identity, else "ADDRESS".  An
 * address has no '@'. */
struct peer_name {
	char text[192];
};

/* IDENTITY is "" for a peer without one.  Any thread, as all functions here. */
struct peer_name peer_name(const char *identity, const char *address);

/* The address in NAME, which is valid as long as NAME is. */
const char *peer_name_address(const struct peer_name *name);

/* NAME without the port of its address, which is another one for each of a
 * client's connections. */
struct peer_name peer_name_without_port(const struct peer_name *name);

/* How many characters of NAME are the identity; 0: it has none. */
size_t peer_name_identity(const struct peer_name *name);

#endif
