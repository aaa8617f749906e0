/* What etcd is asked: the JSON of its gateway (API v3).  Each function returns
 * text that the caller frees, or NULL: memory is short.  Any thread. */
#ifndef RSWAP_ETCD_REQUEST_H
#define RSWAP_ETCD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Some keys that begin with PREFIX, in order. */
struct etcd_page {
	const char *prefix;
	/* Only keys behind that one, which a NUL ends and which may have others
	 * in it; NULL: from the first. */
	const char *after;
	size_t after_bytes; /* without the NUL that ends it */
	uint64_t revision;  /* of the store; 0: as it is now */
	unsigned limit;	    /* at most so many */
	bool keys_only;	    /* without their values */
};
char *etcd_request_range(const struct etcd_page *page);
/* LEASE 0: none. */
char *etcd_request_put(const char *key, const char *value, uint64_t lease);
/* If the lease of the key WHERE is LEASE_NOW (0: there is no such key, or it
 * has none), puts VALUE into KEY with LEASE; otherwise gets WHERE. */
char *etcd_request_put_if(const char *where, uint64_t lease_now,
			  const char *key, const char *value, uint64_t lease);

/* A transaction.  What is guarded are the keys that begin with PREFIX: none of
 * them was put after the store's REVISION.  One that was deleted meanwhile is
 * not noticed. */
struct etcd_guard {
	const char *prefix;
	uint64_t revision;
};
struct etcd_change {
	const char *key;
	const char *value; /* NULL: delete it */
};
/* Of guards, and of changes: etcd's default limit (--max-txn-ops). */
#define ETCD_TXN_MAX 128
struct etcd_txn {
	const struct etcd_guard *guards;
	const struct etcd_change *changes;
	unsigned n_guards, n_changes;
	uint64_t lease; /* of what is put; 0: none */
};
/* If all guards hold, makes all changes; otherwise none. */
char *etcd_request_txn(const struct etcd_txn *txn);

char *etcd_request_grant(uint64_t ttl_s);
/* For keepalive and revoke. */
char *etcd_request_lease(uint64_t lease);
char *etcd_request_authenticate(const char *user, const char *password);
/* Changes of keys that begin with PREFIX, from REVISION on. */
char *etcd_request_watch(const char *prefix, uint64_t revision);

#endif
