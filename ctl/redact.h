/* Takes out of a text what a bug report must not have: keys; and, unless they
 * are kept, the addresses and names of machines.  The same address becomes the
 * same word everywhere ("address-2"), so that a reader still sees what belongs
 * together.  Loopback and wildcard addresses stay.
 *
 * It knows keys by their form (32 hexadecimal digits or more), addresses by
 * theirs, a host by the port behind it ("HOST:10909") or as part of a session's
 * name ("rswap-nbd@HOST/PID"), and other names of hosts only as far as it was
 * told.  One thread. */
#ifndef RSWAPCTL_REDACT_H
#define RSWAPCTL_REDACT_H

#include <stdbool.h>
#include <stdio.h>

struct redact;

/* NULL without memory.  The caller frees it. */
struct redact *redact_new(bool keep_addresses);
void redact_free(struct redact *redact);

/* NAME is a host: take it out too, also where a domain follows.  A port behind
 * it is ignored. */
void redact_host(struct redact *redact, const char *name);

/* Writes TEXT to OUT. */
void redact_write(struct redact *redact, const char *text, FILE *out);

#endif
