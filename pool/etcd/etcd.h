/* A client of etcd: calls to one of several servers of a cluster, by the JSON
 * gateway of its API v3.
 *
 * A call goes to the server that answered last.  If that server does not
 * answer, or has no leader, the call goes to the other servers in turn.  A call
 * that was sent to two servers may be carried out twice; all calls here may be.
 * After a call that failed at all servers the caller waits for
 * etcd_backoff_ns(), and meanwhile keeps alive what it has.
 *
 * One thread uses a client, except where a function says otherwise.  All calls
 * return 0 or a negative errno, with the reason in WHY:
 *   -ETIMEDOUT, -EIO, -EPROTO  no server of the cluster answers as it should
 *   -ECANCELED                 etcd_cancel
 *   -EACCES                    wrong password, or no right to do that
 *   -ENOENT                    the lease is gone
 *   -EMSGSIZE                  the answer is too large
 *   -EREMOTEIO                 etcd refuses for another reason */
#ifndef RSWAP_ETCD_H
#define RSWAP_ETCD_H

#include <stdbool.h>
#include <stdint.h>

#include "answer.h"
#include "config.h"
#include "error.h"
#include "net.h"
#include "request.h"

struct etcd;
struct jsonout;

/* Reads the files of CONFIG, and looks the names up, for two seconds at most.
 * Asks etcd nothing, and does not fail because of a name that means nothing
 * now. Before any other thread runs. */
int etcd_open(struct etcd **etcd, const struct etcd_config *config,
	      struct error *why);
/* For a process that lives on: starts the thread that looks names up again, if
 * there are any.  Without it each look-up starts one.  After a fork, when
 * privileges and the like are given up, and while threads may still be started.
 * No other thread uses the client meanwhile.  0, or a negative errno with WHY.
 */
int etcd_start(struct etcd *etcd, struct error *why);
/* NULL is allowed. */
void etcd_close(struct etcd *etcd);

/* --- calls --- */

/* A new lease. */
int etcd_grant(struct etcd *etcd, uint64_t ttl_s, uint64_t deadline_ns,
	       uint64_t *lease, struct error *why);
int etcd_keep_alive(struct etcd *etcd, uint64_t lease, uint64_t deadline_ns,
		    struct error *why);
/* Ends the lease, and deletes its keys. */
int etcd_revoke(struct etcd *etcd, uint64_t lease, uint64_t deadline_ns,
		struct error *why);

int etcd_put(struct etcd *etcd, const char *key, const char *value,
	     uint64_t lease, uint64_t deadline_ns, struct error *why);
/* Puts VALUE into KEY if the lease of the key WHERE, which may be the same, is
 * LEASE_NOW (0: there is no such key).  Otherwise *THERE, which the caller
 * frees, has the key WHERE as it is, unless it went away meanwhile;
 * ->succeeded tells which. */
int etcd_put_if(struct etcd *etcd, const char *where, uint64_t lease_now,
		const char *key, const char *value, uint64_t lease,
		uint64_t deadline_ns, struct etcd_answer *there,
		struct error *why);

/* Makes the changes of TXN, at most ETCD_TXN_MAX, if its guards hold; *DONE
 * tells.  A transaction that two servers carried out is refused by its own
 * first time: so *DONE may be false after the changes were made. */
int etcd_transact(struct etcd *etcd, const struct etcd_txn *txn,
		  uint64_t deadline_ns, bool *done, struct error *why);

/* Called with KVS, some of the keys, in order; again until all were there. */
typedef void etcd_take(void *arg, const struct etcd_kv *kvs, unsigned n);

/* All keys that begin with PREFIX, as they were at one time, which *REVISION
 * tells.  A key whose value is too large for an answer has the value "", and so
 * has one whose value has a NUL.  A key that has a NUL is left out. */
int etcd_range(struct etcd *etcd, const char *prefix, uint64_t deadline_ns,
	       etcd_take *take, void *arg, uint64_t *revision,
	       struct error *why);

/* --- waiting --- */

/* How long to wait after a thing that failed FAILURES times in a row: longer
 * each time, and a random part of it, so that the clients of a cluster that
 * comes back do not all come at once.  Each thing has a count of its own, and
 * only its own success clears it: a lease may be kept alive where writes are
 * refused.  Any thread. */
uint64_t etcd_backoff_ns(unsigned failures);
/* A random time below MOST_NS, or 0: with it clients that began at the same
 * time do not all ask etcd at the same time again.  Any thread. */
uint64_t etcd_draw_ns(uint64_t most_ns);
/* Sleeps until a watch has an answer or ends, etcd_wake, etcd_cancel, or
 * UNTIL_NS. */
void etcd_pause(struct etcd *etcd, uint64_t until_ns);
/* The same, whatever watches and etcd_wake say meanwhile. */
void etcd_rest(struct etcd *etcd, uint64_t until_ns);
/* Ends the pause, or the next one.  Any thread. */
void etcd_wake(struct etcd *etcd);
/* Ends calls and pauses, until etcd_renew.  Any thread. */
void etcd_cancel(struct etcd *etcd);
void etcd_renew(struct etcd *etcd);

/* The server that answered last: "10.0.0.1:2379". */
struct net_text etcd_endpoint(const struct etcd *etcd);

/* How etcd did until now. */
struct etcd_figures {
	uint64_t heard_ns; /* when it last answered a call, or a watch told
			      something; 0: never */
	uint64_t call_ns;  /* how long the last call took; 0: there was none */
	uint64_t failures; /* calls that failed, and watches that ended so */
};
/* Any thread. */
struct etcd_figures etcd_figures(const struct etcd *etcd);
/* Members of an object: heard_s, call_ms, failures. */
void etcd_figures_put(const struct etcd_figures *figures, struct jsonout *j);

#endif
