/* The clients that this server knows: the keys of --psk-file, and the TLS that
 * goes with them.  Without that option every host that reaches the port is a
 * client, and control connections have no TLS.
 *
 * Main loop only. */
#ifndef RSWAP_IDENTITIES_H
#define RSWAP_IDENTITIES_H

#include "error.h"
#include "pskfile.h"
#include "tls.h"

struct identities {
	struct pskfile file;
	struct tls_context *tls; /* NULL: there are no keys */
};

/* Reads the keys of the file at PATH; NULL: no keys.  0, or a negative errno
 * and the reason, which names the option. */
int identities_open(struct identities *identities, const char *path,
		    struct error *why);

/* Wipes the keys.  There is no control connection any more. */
void identities_close(struct identities *identities);

#endif
