/* Choosing a server for a shard, from figures alone: no lock, no clock, no
 * allocation, the same answer for the same offers and seed.  Placement offers
 * every server that could be asked.  bench/poolsim offers servers that it
 * simulates.
 *
 * The rules, in this order:
 * 1. Another server than those of the slab's other shards.
 * 2. Another zone than those of the slab's other shards, as long as one has
 *    room.  A server without a zone is a zone of its own.
 * 3. Of two servers drawn at random, the one that costs less.  Many clients
 *    that all took the emptiest server would fill a server that joins at once,
 *    before its next report of free memory.  By two draws the server gets only
 *    about twice its share of the slabs, and the servers are still filled
 *    evenly.  A server is drawn in proportion to all its memory.
 *
 * The cost is the part of the server's memory that is in use, so that servers
 * of any size are filled evenly, and a little for slow READs and for load.  How
 * slow READs are also says how loaded the way to the server is.  A client that
 * has not read from a server yet knows its load at best.
 */
#ifndef RSWAP_CHOOSE_H
#define RSWAP_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

/* What READs cost, for each doubling of their time beyond CHOOSE_FAST_US, and
 * at most, in millionths of a server's memory. */
#define CHOOSE_FAST_US	    32
#define CHOOSE_SLOW_PPM	    2500
#define CHOOSE_SLOW_MAX_PPM 15000
/* What a server costs whose machine is wholly busy with it. */
#define CHOOSE_LOAD_PPM 10000

/* What choose_end returns where no server can take the shard. */
#define CHOOSE_NONE UINT32_MAX

/* A server, by what was last heard of it. */
struct choose_server {
	uint32_t index; /* the caller's */
	uint32_t free_slabs, total_slabs;
	uint32_t zone;	    /* 0: none */
	uint32_t own_slabs; /* that this client has there */
	uint32_t read_us;   /* how long its READs usually take; 0: unknown */
	uint32_t load_permille; /* of its machine; 0: unknown */
	bool last_resort;	/* is chosen where no other server is */
};

/* Where a shard of the slab is. */
struct choose_shard {
	uint32_t server; /* its index */
	uint32_t zone;
	/* Gives way to the shard that is placed, which therefore may go into
	 * the same zone. */
	bool gives_way;
};

/* Two servers, each drawn in proportion to its size. */
struct choose_pair {
	uint64_t slabs; /* of all that were offered */
	struct choose_server first, second;
};

/* A choice under way. */
struct choose {
	const struct choose_shard *shards; /* [n_shards], the caller's */
	uint32_t n_shards;
	uint64_t random;
	struct choose_pair free;    /* in zones without a shard */
	struct choose_pair crowded; /* in zones with one */
	uint32_t last_resort;
	bool apart; /* none in zones with one */
};

/* Begins a choice for a shard of a slab that has SHARDS, which the caller keeps
 * until the end.  Choices with different seeds draw different servers. */
void choose_begin(struct choose *c, const struct choose_shard *shards,
		  uint32_t n_shards, uint64_t seed);
/* Offers a server.  One that is full, or has a shard of the slab, counts as not
 * offered. */
void choose_offer(struct choose *c, const struct choose_server *server);
/* From now on servers in zones with a shard count as not offered: for a move
 * that would better not be made. */
void choose_apart(struct choose *c);
/* The index of the server that was chosen, or CHOOSE_NONE. */
uint32_t choose_end(const struct choose *c);

/* The part of the server's memory that is in use once it has taken MORE slabs,
 * in millionths. */
uint32_t choose_fill_ppm(const struct choose_server *server, uint32_t more);

/* That, and what slow READs and load cost. */
uint32_t choose_cost_ppm(const struct choose_server *server, uint32_t more);

/* Mixes bits (the finalizer of splitmix64).  Makes seeds. */
uint64_t choose_mix(uint64_t x);

#endif
