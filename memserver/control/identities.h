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

/* Reads the file again.  0, and BEFORE has the keys from before, the caller's
 * to free.  A negative errno and the reason: the keys are those from before. */
int identities_read_again(struct identities *identities, const char *path,
			  struct pskfile *before, struct error *why);

/* Whether NAME has the key that it had in BEFORE. */
bool identities_keep(const struct identities *identities,
		     const struct pskfile *before, const char *name);

/* Wipes the keys.  There is no control connection any more. */
void identities_close(struct identities *identities);

#endif
