#include "etcd_client.h"

struct etcd *etcd;

int etcd_client_open(void **state)
{
	static const struct etcd_config config = {
		.endpoints = { { .host = "127.0.0.1", .port = 1 } },
		.n_endpoints = 1,
	};
	struct error why;

	(void)state;
	return etcd_open(&etcd, &config, &why);
}

int etcd_client_close(void **state)
{
	(void)state;
	etcd_close(etcd);
	return 0;
}
