/* The file of the pool's servers (pool-state=): for a start while etcd does not
 * answer.  One thread uses it at a time. */
#ifndef RSWAP_POOLSTATE_H
#define RSWAP_POOLSTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "members.h"

struct poolstate {
	const char *path; /* NULL: none; then nothing is kept */
	const char *pool; /* its name */
	/* Its own; zeroed at first. */
	uint64_t digest;  /* of what was saved last */
	uint64_t next_ns; /* not before that again */
	bool complained;
};

/* 0, or a negative errno with WHY. */
int poolstate_load(const struct poolstate *state, struct members *members,
		   struct error *why);
int poolstate_save(struct poolstate *state, const struct members *members,
		   struct error *why);
/* Saves MEMBERS if the file should have something else, at most once in 10
 * seconds.  How full the servers are does not count.  Logs a failure once. */
void poolstate_keep(struct poolstate *state, const struct members *members);

#endif
