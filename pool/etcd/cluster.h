/* The servers of a cluster: which one is asked, what a server that fails costs
 * the others, and who the client is to them.  For etcd.c and watch.c only, and
 * for the thread that uses the client. */
#ifndef RSWAP_ETCD_CLUSTER_H
#define RSWAP_ETCD_CLUSTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "answer.h"
#include "config.h"
#include "error.h"
#include "http.h"
#include "login.h"
#include "lookup.h"

struct endpoint {
	struct http_place place; /* addrs.n 0: no address is known yet */
	struct error why;	 /* why not */
	unsigned misses;	 /* at this address, in a row */
};

struct watch {
	unsigned at;	      /* the endpoint */
	bool is_open;	      /* a stream is there, which may have ended */
	bool is_left;	      /* its server did not answer a call since */
	bool is_created;      /* etcd has said that it begins */
	uint64_t begin_by_ns; /* when etcd has to have said so */
};

struct etcd {
	struct http *http;
	struct lookup *lookup; /* of the endpoints' names */
	bool has_tls;
	struct endpoint endpoints[ETCD_ENDPOINTS_MAX];
	unsigned n, current;
	struct watch watches[ETCD_WATCHES];
	struct login login; /* no user: none */
	bool has_token;
	bool no_auth; /* this cluster has no users */
	/* What etcd_figures tells to any thread. */
	struct {
		_Atomic uint64_t heard_ns, call_ns, failures;
	} told;
};

/* Looks all endpoints' names up, for two seconds at most. */
void cluster_look_all_up(struct etcd *etcd);
/* Looks the name of endpoint AT up, if it has no address or that one failed:
 * for two seconds at most, and half of the time until DEADLINE_NS.  What the
 * name service says later counts the next time. */
void cluster_look_up(struct etcd *etcd, unsigned at, uint64_t deadline_ns);

/* Whoever has the wire has a password, or a token, that is sent without TLS: 0,
 * or -EACCES where the endpoint is another machine. */
int cluster_check_password(const struct etcd *etcd, const struct endpoint *at,
			   struct error *why);

/* The client's user gets a token.  0 or a negative errno, also where it has no
 * right to one. */
int cluster_authenticate(struct etcd *etcd, uint64_t deadline_ns,
			 struct error *why);

/* Asks the servers in turn.  Frees BODY, which may be NULL.  ANSWER is the
 * caller's to free after 0, and empty otherwise. */
int cluster_call(struct etcd *etcd, const char *path, char *body,
		 uint64_t deadline_ns, struct etcd_answer *answer,
		 struct error *why);

/* The next call goes to another server than endpoint AT, with another token,
 * unless the client has left it already: all its watches end with a server. */
void cluster_leave(struct etcd *etcd, unsigned at);

/* A server that hangs while its kernel lives keeps its streams open, and would
 * not tell of a change for as long as it hangs.  So its watches end when it
 * does not answer a call. */
void cluster_end_watches(struct etcd *etcd, unsigned at);

/* A server of the cluster has told something now. */
void cluster_hear(struct etcd *etcd);

/* The errno of an error that etcd tells. */
int cluster_errno(const struct etcd_answer *answer);

#endif
