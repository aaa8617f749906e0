#include "transport.h"

#include <errno.h>
#include <string.h>

const struct transport_ops *const transports[] = {
	&transport_rdma,
	&transport_tcp,
	NULL,
};

const struct transport_ops *transport_by_name(const char *name)
{
	for (size_t i = 0; transports[i]; i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	}
	return NULL;
}

const struct transport_ops *transport_by_bit(uint32_t wire_bit)
{
	for (size_t i = 0; transports[i]; i++) {
		if (transports[i]->wire_bit == wire_bit)
			return transports[i];
	}
	return NULL;
}

bool transport_leads_link(const struct xfer *xfers, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (xfers[j].link == xfers[i].link)
			return false;
	}
	return true;
}

void transport_fail_link(struct link *link, struct xfer *xfers, size_t n,
			 int rc)
{
	link->ops->link_abort(link);
	for (size_t i = 0; i < n; i++) {
		if (xfers[i].link == link && xfers[i].status == -EINPROGRESS)
			xfers[i].status = rc;
	}
}
