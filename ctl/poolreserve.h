/* "rswapctl pool reserve": what clients have reserved in a pool, quotas, and
 * how much may be reserved. */
#ifndef RSWAPCTL_POOLRESERVE_H
#define RSWAPCTL_POOLRESERVE_H

#include "etcd/etcd.h"
#include "members.h"
#include "reservation.h"

/* What to set; all zeroed: nothing. */
struct poolreserve_orders {
	const char *tenant; /* whose quota; NULL: none is set */
	bool has_quota;	    /* else the quota of the tenant is deleted */
	uint64_t quota_bytes;
	uint32_t overcommit_permille; /* 0: stays */
};

/* A client's reservation, in all. */
struct poolreserve_client {
	char id[RESERVATION_ID_BYTES];
	struct reservation said;
};

struct poolreserve_tenant {
	char identity[WIRE_NAME_BYTES];
	uint64_t reserved_bytes;
	bool has_quota;
	uint64_t quota_bytes;
	unsigned clients;
};

struct poolreserve_server {
	struct net_text address;
	bool is_registered;
	bool drains;
	/* 0 unless it is registered. */
	uint64_t memory_bytes, unreserved_bytes;
	uint64_t reserved_bytes;
};

/* What etcd tells.  Each array is sorted by its first member. */
struct poolreserve_view {
	struct pool_settings settings;
	struct poolreserve_client *clients;
	struct poolreserve_tenant *tenants;
	struct poolreserve_server *servers;
	unsigned n_clients, n_tenants, n_servers;
	unsigned skipped; /* keys that are not understood */
	bool out_of_memory;
};

/* These ask etcd, for seconds.  0, or a negative errno with WHY. */
int poolreserve_set(struct etcd *etcd, const struct pool *pool,
		    const struct poolreserve_orders *orders, struct error *why);
int poolreserve_read(struct etcd *etcd, const struct pool *pool,
		     const struct members *members,
		     struct poolreserve_view *view, struct error *why);
/* Only what clients reserve in all, and quotas: tenants and clients. */
int poolreserve_read_tenants(struct etcd *etcd, const struct pool *pool,
			     uint64_t deadline_ns,
			     struct poolreserve_view *view, struct error *why);
void poolreserve_free(struct poolreserve_view *view);

/* What is left to reserve on SERVER. */
uint64_t poolreserve_left(const struct poolreserve_view *view,
			  const struct poolreserve_server *server);

/* For people: who has reserved something, or has a quota. */
void poolreserve_print_tenants(const struct poolreserve_view *view);
/* For people, and as one JSON object. */
void poolreserve_print(const struct pool *pool,
		       const struct poolreserve_view *view);
void poolreserve_print_json(const struct pool *pool,
			    const struct poolreserve_view *view);

#endif
