/* Watches: what a server of the cluster tells of the changes of keys, as a
 * stream.  etcd_view (view.h) is what to use.  The thread that uses the client;
 * errors are those of etcd.h.  WHICH is less than ETCD_WATCHES. */
#ifndef RSWAP_ETCD_WATCH_H
#define RSWAP_ETCD_WATCH_H

#include <stdint.h>

#include "answer.h"
#include "config.h"
#include "error.h"

struct etcd;

/* Begins to watch keys with PREFIX from REVISION on, at the server that
 * answered last. */
int etcd_watch(struct etcd *etcd, unsigned which, const char *prefix,
	       uint64_t revision, uint64_t deadline_ns, struct error *why);
/* 1 and the next ANSWER of the watch, which the caller frees; 0: none is there
 * now; or a negative errno: the watch has ended.  It also ends when its server
 * does not answer a call, with -ETIMEDOUT if its server has not told by
 * DEADLINE_NS that it was created, and with -EMSGSIZE if what it tells is too
 * large: then a watch from the same revision on ends in the same way. */
int etcd_watch_next(struct etcd *etcd, unsigned which,
		    struct etcd_answer *answer, struct error *why);
/* When to ask etcd_watch_next again, at the latest: no pause notices that a
 * watch has ended so. */
uint64_t etcd_watch_due_ns(const struct etcd *etcd, unsigned which);
void etcd_unwatch(struct etcd *etcd, unsigned which);

#endif
