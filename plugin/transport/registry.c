/* The transports on the wire, the best first. */
#include "transport.h"

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
