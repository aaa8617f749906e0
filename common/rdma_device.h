/* Which RDMA devices are used: those of InfiniBand and RoCE.
 *
 * Those of iWARP are not.  There a WRITE completes when this machine needs its
 * bytes no more, and not when they have arrived (RFC 5040, RFC 5042), so a page
 * could count as written that is lost with the connection, and a READ by
 * another connection could overtake it.  Pages then go by TCP. */
#ifndef RSWAP_RDMA_DEVICE_H
#define RSWAP_RDMA_DEVICE_H

#include <infiniband/verbs.h>
#include <stdbool.h>

#include "error.h"

/* False with a line in WHY. */
static inline bool rdma_device_fits(struct ibv_device *device,
				    struct error *why)
{
	if (device->transport_type == IBV_TRANSPORT_IB)
		return true;
	error_set(why,
		  "%s is neither InfiniBand nor RoCE: there a page may count "
		  "as written before it has arrived",
		  ibv_get_device_name(device));
	return false;
}

#endif
