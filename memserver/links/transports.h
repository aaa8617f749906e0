/* The transports, and what has to be done for each of them.  Main loop. */
#ifndef RSWAP_MEMSERVER_TRANSPORTS_H
#define RSWAP_MEMSERVER_TRANSPORTS_H

#include <stddef.h>

#include "link.h"

/* Of transports_names. */
#define TRANSPORTS_NAMES_BYTES 32

/* The I-th transport, or NULL. */
const struct link_ops *transport_at(size_t i);
/* By its WIRE_TRANSPORT_ bit, or by its name; NULL when there is none. */
const struct link_ops *transport_by_bit(uint32_t bit);
const struct link_ops *transport_by_name(const char *name);

/* The open transport whose links come in over control connections, or NULL. */
const struct link_ops *transports_adopter(const struct links *links);

/* Opens ONLY, or with NULL each transport that this machine has.  Sets
 * links->open.  A negative errno and WHY when ONLY cannot be opened, or when a
 * transport without a listener of its own cannot. */
int transports_open(struct links *links, const struct link_ops *only,
		    struct error *why);

/* Offers the open transports at ADDR, whose port control connections use.  A
 * transport that is not ONLY is left out of OFFER, with a log line, when it
 * cannot listen there.  0, or a negative errno and WHY. */
int transports_listen(struct links *links, const struct link_ops *only,
		      const struct net_addr *addr, struct link_offer *offer,
		      struct error *why);

/* Closes the open transports that are not in the WIRE_TRANSPORT_ bits KEEP.  No
 * link of them is left. */
void transports_close(struct links *links, uint32_t keep);

/* The names of the WIRE_TRANSPORT_ bits, with SEPARATOR between two. */
const char *transports_names(uint32_t bits, const char *separator,
			     char names[TRANSPORTS_NAMES_BYTES]);

#endif
