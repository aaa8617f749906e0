#include "transport.h"

#include <string.h>

const struct transport_ops *const transports[N_TRANSPORTS] = {
	[TRANSPORT_RDMA] = &transport_rdma,
	[TRANSPORT_TCP] = &transport_tcp,
	[TRANSPORT_FILE] = &transport_file,
};

size_t transport_number(const struct transport_ops *ops)
{
	size_t i = 0;

	while (transports[i] != ops)
		i++;
	return i;
}

const struct transport_ops *transport_by_name(const char *name)
{
	for (size_t i = 0; i < WIRE_TRANSPORTS; i++) {
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	}
	return NULL;
}
