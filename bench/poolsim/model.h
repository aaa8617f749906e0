/* What poolsim simulates: servers, clients, their slabs, and what a client
 * hears of the servers.  One thread. */
#ifndef POOLSIM_MODEL_H
#define POOLSIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "members.h"
#include "servers/choose.h"

#define SIM_COPIES_MAX 4
/* The most that servers-max of the plugin may be. */
#define SIM_KNOWN_MAX	255
#define SIM_SERVERS_MAX 4096
#define SIM_SLAB_BYTES	(UINT64_C(64) << 20)
/* How often a server tells sessions what it has free. */
#define SIM_REPORT_NS (3 * NS_PER_S)
/* So many slabs are asked for at once: a burst of a client that swaps. */
#define SIM_BURST_SLABS 4

struct sim_server {
	uint32_t total, used; /* slabs */
	uint32_t zone;	      /* from 1 on */
	bool alive;
	/* What it reported last, to those that have a session with it.  Its
	 * key in the pool is older. */
	uint32_t reported_used;
	/* What the client of burst FRESH_BURST heard since then. */
	uint32_t fresh_used;
	uint64_t fresh_burst;
};

/* The servers that hold the copies of a slab. */
struct sim_slab {
	uint16_t servers[SIM_COPIES_MAX];
};

struct sim_client {
	uint32_t wanted, n, room; /* slabs */
	struct sim_slab *slabs;	  /* [room], n of them used */
	/* Where the plugin has sessions, and how many copies it has there. */
	uint16_t known[SIM_KNOWN_MAX];
	uint32_t own[SIM_KNOWN_MAX];
	uint32_t n_known;
};

struct sim {
	uint32_t n_servers, n_zones, n_clients, copies;
	uint32_t servers_max; /* of each client */
	struct sim_server servers[SIM_SERVERS_MAX];
	struct sim_client *clients; /* [n_clients] */
	/* The servers as the pool's keys tell of them, which is what the
	 * plugin chooses by.  The entries of those that are not alive are not
	 * understood. */
	struct members members;
	uint64_t random, bursts, reports;
	/* Slabs that no server took, and answers of servers that were full. */
	uint64_t failed, refused;
};

/* A rule of placement: the server for the next copy of a slab of CLIENT, which
 * has N already, or CHOOSE_NONE. */
typedef uint32_t sim_rule(struct sim *sim, struct sim_client *client,
			  const struct sim_slab *slab, uint32_t n);

/* Servers whose sizes are between 32 and 512 GiB, in zones that are drawn, and
 * clients whose demand fills PERCENT of them.  SEED decides all that is drawn.
 */
void sim_create(struct sim *sim, uint32_t servers, uint32_t zones,
		uint32_t clients, uint32_t copies, uint32_t percent,
		uint64_t seed);
void sim_destroy(struct sim *sim);

/* The next number, below BELOW. */
uint32_t sim_below(struct sim *sim, uint32_t below);

/* All servers tell sessions what they have free, SIM_REPORT_NS after the last
 * time.  Those whose turn it is put their keys too. */
void sim_report(struct sim *sim);
/* What the client of this burst knows of the server. */
uint32_t sim_seen_free(const struct sim *sim, uint32_t server);

/* The client asks for up to SIM_BURST_SLABS more slabs.  False once it has what
 * it wants, or got none. */
bool sim_burst(struct sim *sim, uint32_t client, sim_rule *rule);
/* The client ends, and another one takes its place, with a demand of its own.
 */
void sim_replace(struct sim *sim, uint32_t client);
/* Scales what clients want that have nothing, so that PERCENT of all memory is
 * wanted. */
void sim_scale(struct sim *sim, uint32_t percent);

/* A server comes; which one it is. */
uint32_t sim_join(struct sim *sim, uint32_t total, uint32_t zone);
/* A server goes with all that it holds.  Its copies are made anew.  How many
 * there were, and *LOST slabs had no other. */
uint64_t sim_lose(struct sim *sim, uint32_t server, sim_rule *rule,
		  uint64_t *lost);

/* --- moving, and where it is counted --- */

/* The copy is on SERVER from now on. */
void sim_take(struct sim *sim, struct sim_client *client, uint32_t server);
void sim_give_back(struct sim *sim, struct sim_client *client, uint32_t server);

/* Copy K of the slab moves to SERVER.  False if that is full. */
bool sim_move(struct sim *sim, struct sim_client *client, struct sim_slab *slab,
	      uint32_t k, uint32_t server);

/* The largest less the smallest share of a server's memory that is in use, in
 * percent. */
double sim_spread(const struct sim *sim);
/* The slabs that would be lost if all servers of ZONE were. */
uint64_t sim_lost_with_zone(const struct sim *sim, uint32_t zone);
/* How many servers hold something of the client. */
uint32_t sim_fragments(const struct sim *sim, const struct sim_client *client);

#endif
