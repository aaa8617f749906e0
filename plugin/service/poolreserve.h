/* The reservation of this device in its pool (pool-reserve=): memory that the
 * servers hold back for its identity, taken at start or refused with figures,
 * bound to a lease of etcd.
 *
 *   HELD   etcd has it, on servers that the device uses, and the lease lives
 *   SHORT  part of it is misplaced (poolparts.h), and has no room elsewhere yet
 *   LOST   the lease has ended, or may have; it is taken anew when etcd answers
 *
 *   HELD  --a part is misplaced: it moves-------------------------------> HELD
 *   HELD  --the same, and the others have no room for it----------------> SHORT
 *   SHORT --they have, when it tries again------------------------------> HELD
 *   any   --the lease ends----------------------------------------------> LOST
 *   LOST  --reserved with a new lease-----------------------------------> HELD
 *
 * While it is LOST, the servers hold back what they know.
 *
 * Requests never wait for it.  It is the setup's at start, and from then on the
 * thread's that follows the pool (poolwatch.h). */
#ifndef RSWAP_POOLRESERVE_H
#define RSWAP_POOLRESERVE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "error.h"
#include "ledger.h"
#include "members.h"

enum poolreserve_state {
	POOLRESERVE_HELD,
	POOLRESERVE_SHORT,
	POOLRESERVE_LOST
};

struct poolreserve_figures {
	uint64_t wanted_bytes; /* 0: no reservation */
	uint64_t held_bytes;
	char error[200]; /* why it is less, or "" */
};

struct poolreserve {
	const struct config *config; /* NULL: not opened, or no reservation */
	struct members *members;
	struct ledger ledger;
	uint64_t kept_ns;  /* when the lease was last known to live */
	uint64_t again_ns; /* when to do something again */
	uint64_t move_ns;  /* and when to move a part again */
	/* In a row: of keeping or taking it, and of moving a part while it is
	 * kept. */
	unsigned failures, move_failures;
	enum poolreserve_state state; /* as told */

	/* `lock` protects this, and is a leaf. */
	pthread_mutex_t lock;
	struct poolreserve_figures figures;
};

/* What CONFIG reserves, in LEDGER: its slabs of SLAB_BYTES, and how many one
 * server may have.  0, or -EINVAL with WHY. */
int poolreserve_want(struct ledger *ledger, const struct config *config,
		     uint64_t slab_bytes, struct error *why);
/* The line of a reservation that is refused. */
void poolreserve_refuse(const struct config *config, const struct error *detail,
			struct error *why);

/* For all that follow: without pool-reserve= they do nothing. */

/* Once more after it failed too.  Reserves what CONFIG asks for on those of its
 * servers that MEMBERS has, within seconds.  Servers have slabs of SLAB_BYTES.
 * 0, or a negative errno with one line in WHY. */
int poolreserve_take(struct poolreserve *reserve, const struct config *config,
		     struct etcd *etcd, struct members *members,
		     uint64_t slab_bytes, struct error *why);
/* Whether it is still held before the device serves, and takes it anew if not:
 * setting up may take longer than a lease lasts. */
int poolreserve_confirm(struct poolreserve *reserve, struct error *why);
/* Keeps the lease alive, takes the reservation anew, or moves what is misplaced
 * among the servers of ENGINE, if it is time.  ENGINE: NULL
 * before it follows the pool.  Returns when to call it again, at the latest.
 * The thread of roster_join. */
uint64_t poolreserve_step(struct poolreserve *reserve,
			  const struct engine *engine);
/* Gives it back, within seconds. */
void poolreserve_leave(struct poolreserve *reserve);
/* Also after poolreserve_take failed, or was not called. */
void poolreserve_close(struct poolreserve *reserve);

/* False without a reservation.  Any thread. */
bool poolreserve_get_figures(struct poolreserve *reserve,
			     struct poolreserve_figures *figures);

#endif
