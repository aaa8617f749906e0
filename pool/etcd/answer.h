/* What etcd answers: the JSON of its gateway (API v3), parsed.  One parser
 * takes every kind of answer, also a line of a stream, because all of them have
 * the same members.  Numbers are texts there, and keys and values base64.  Any
 * thread. */
#ifndef RSWAP_ETCD_ANSWER_H
#define RSWAP_ETCD_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* The most of an answer that is taken. */
#define ETCD_ANSWER_MAX_BYTES (8u << 20)

/* gRPC's codes of errors, as far as they matter here. */
enum etcd_code {
	ETCD_OK = 0,
	ETCD_INVALID = 3, /* also a wrong password */
	ETCD_TOO_LATE = 4,
	ETCD_NOT_FOUND = 5,
	ETCD_DENIED = 7,
	ETCD_EXHAUSTED = 8,    /* no space; also: the answer is too large */
	ETCD_PRECONDITION = 9, /* also: no authentication here */
	ETCD_UNAVAILABLE = 14, /* no leader, for one */
	ETCD_TOKEN = 16,       /* the token is too old */
};

/* A key with its value, or, in an event, the key that was deleted.  Both end
 * with a NUL, and have no other in them: no program of rswap writes one.  A key
 * that has one is somebody else's, and is left out.  A value that has one is
 * "". */
struct etcd_kv {
	char *key;
	char *value; /* "" if deleted */
	uint64_t mod_revision;
	uint64_t lease; /* 0: none */
	bool deleted;
};

/* Members that an answer does not have are 0. */
struct etcd_answer {
	uint64_t cluster;  /* which one answers */
	uint64_t revision; /* of the whole store */
	/* range, the other branch of txn, a watch's events */
	unsigned n;
	struct etcd_kv *kvs; /* [n] */
	char *last;	     /* the last key, also one that was left out */
	size_t last_bytes;   /* of it, without the NUL behind it */
	bool more;	     /* range: there are more keys than these */
	bool succeeded;	     /* txn: the comparisons held */
	uint64_t lease;	     /* grant, keepalive */
	uint64_t ttl_s;	     /* 0: the lease is gone */
	bool created;	     /* watch: it begins */
	bool canceled;	     /* watch: it has ended */
	/* watch: what it asked for is gone; the oldest revision that is left */
	uint64_t compact_revision;
	char *token; /* authenticate; or NULL */
	/* If not ETCD_OK, there is nothing but these two. */
	int code;
	char message[160]; /* printable ASCII */
};

/* Parses BYTES of TEXT, which is one JSON object.  0; -EPROTO: it is no answer
 * of etcd's, and WHY says so; -ENOMEM.  An error that etcd tells is an answer
 * too.  The caller frees ANSWER after 0. */
int etcd_answer_parse(const char *text, size_t bytes,
		      struct etcd_answer *answer, struct error *why);
/* Frees what is in it, and empties it. */
void etcd_answer_free(struct etcd_answer *answer);

/* Whether an error says that the answer would have been too large for etcd. */
bool etcd_answer_is_too_large(const struct etcd_answer *answer);

#endif
