/* What a client of etcd is told of the cluster. */
#ifndef RSWAP_ETCD_CONFIG_H
#define RSWAP_ETCD_CONFIG_H

#include "net.h"

/* Watches of a client (watch.h), which are streams of http.h. */
#define ETCD_WATCHES	   3
#define ETCD_ENDPOINTS_MAX 8
#define ETCD_DEFAULT_PORT  2379

/* The strings are the caller's. */
struct etcd_config {
	struct net_name endpoints[ETCD_ENDPOINTS_MAX];
	unsigned n_endpoints; /* 1 or more */
	/* PEM files.  No ca: plain HTTP.  cert and key: both or none. */
	const char *ca, *cert, *key;
	const char *login; /* a file with USER:PASSWORD, or NULL */
};

#endif
