/* A client of etcd for tests that reach no etcd. */
#ifndef RSWAP_TEST_ETCD_CLIENT_H
#define RSWAP_TEST_ETCD_CLIENT_H

#include "etcd/etcd.h"

/* From etcd_client_open to etcd_client_close, the setup and the teardown of a
 * test or of a group.  Nobody listens where it looks for etcd. */
extern struct etcd *etcd;
int etcd_client_open(void **state);
int etcd_client_close(void **state);

#endif
