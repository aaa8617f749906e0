/* What the options say.  config.h reads the command line into this. */
#ifndef RSWAP_MEMSERVER_SETTINGS_H
#define RSWAP_MEMSERVER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "links/link.h"
#include "net.h"
#include "pool.h"
#include "wire.h"

#define CONFIG_LISTEN_MAX 16

/* The strings belong to argv. */
struct config {
	uint64_t memory_asked_bytes; /* as written */
	uint64_t memory_bytes;	     /* in whole slabs */
	uint64_t slab_bytes;
	struct net_name listen[CONFIG_LISTEN_MAX];
	unsigned listen_count; /* 1 or more */
	/* The only transport to serve.  NULL: each that this machine has. */
	const struct link_ops *only;
	bool hugepages;
	unsigned threads; /* that move bytes for TCP */
	unsigned max_sessions;
	unsigned stock;	  /* slabs kept ready */
	unsigned grace_s; /* a session outlives its control connection */
	unsigned reclaim_percent;   /* of memory pressure; 0: never reclaim */
	const char *psi_path;	    /* the kernel's file of memory pressure */
	char zone[WIRE_ZONE_BYTES]; /* may be empty */
	const char *psk_file;	    /* NULL: clients need no key */
	const char *tenants;	    /* NULL: identities have no limits */
	bool allow_unauthenticated; /* also from other machines */
	const char *port_file;
	const char *pidfile;
	const char *control;
	bool has_metrics;
	struct net_name metrics; /* if has_metrics */
	const char *user; /* to serve as; NULL: as the one that started it */
	bool no_seccomp;
	struct pool pool; /* to register in; its name is empty: none */
	struct net_name pool_address; /* as clients have it; no host: see
					 registration.c.  Port 0: as --listen */
};

#endif
