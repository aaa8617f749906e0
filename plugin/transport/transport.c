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

size_t transport_over(const struct xfer *xfers, size_t n)
{
	size_t over = 0;

	for (size_t i = 0; i < n; i++)
		over += xfers[i].status != -EINPROGRESS;
	return over;
}
