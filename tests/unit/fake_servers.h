/* A page engine whose servers are memory of the test, behind a transport that
 * does as the test says.  Two channels: servers with even numbers are reached
 * through the first, those with odd ones through the second.
 *
 * The sessions are threads that answer what a request asks of them (a slab; a
 * recovery), by the same calls as plugin/session*.c, or not at all where the
 * test takes their place. */
#ifndef RSWAP_TEST_FAKE_SERVERS_H
#define RSWAP_TEST_FAKE_SERVERS_H

#include "engine.h"
#include "pages/seal.h"
#include "support.h"

#define FAKE_SERVERS_MAX 4

/* Whether pages are sealed: some tests are compiled a second time so. */
#ifndef FAKE_ENCRYPT
#define FAKE_ENCRYPT false
#endif
#define FAKE_UNIT_BYTES (FAKE_ENCRYPT ? SEAL_UNIT_BYTES : PAGE_BYTES)

#define FAKE_SLAB_PAGES 16u
#define FAKE_SLAB_BYTES (FAKE_SLAB_PAGES * FAKE_UNIT_BYTES)
#define FAKE_SLABS	20u
#define FAKE_PAGES	(FAKE_SLABS * FAKE_SLAB_PAGES)

#define FAKE_LOG_MAX 64

/* What the transport was given. */
struct fake_sent {
	enum xfer_op op;
	uint32_t machine;
	uint32_t bytes;
	uint64_t offset_bytes;
	unsigned submit;  /* the number of its submit call */
	uint32_t address; /* the slab's: which one of all that were given out */
};

/* The next TIMES transfers to SERVER, after SKIP ones, get STATUS.  A write may
 * all the same have arrived, or in shard: all cases are tried by turns. */
struct fake_fault {
	uint32_t machine;
	unsigned skip, times;
	int status;
};

/* CALL is called once, in the middle of a transfer: half of its bytes have
 * moved, and no lock is held.  Of those of that kind SKIP go before. */
struct fake_halfway {
	enum xfer_op op;
	unsigned skip;
	void (*call)(const struct xfer *x);
};

struct fake_session {
	pthread_mutex_t lock; /* while it is repaired, or lost */
	struct server *server;
	pthread_t thread;
	bool runs;
	_Atomic bool stop;
	_Atomic bool full;   /* refuses slabs */
	_Atomic bool silent; /* answers no transfer */
	_Atomic bool hangs;  /* nor do its transfers end when aborted */
	_Atomic bool
		no_repair; /* does nothing about a server that is RECOVERING */
};

struct fake_link {
	struct link base;
	uint32_t machine;
	_Atomic bool aborted;
};

struct fake_servers {
	struct engine engine;
	struct net_name names[FAKE_SERVERS_MAX];
	struct fake_session sessions[FAKE_SERVERS_MAX];

	/* Guards what follows. */
	pthread_mutex_t lock;
	struct fake_sent sent[FAKE_LOG_MAX];
	size_t n_sent; /* may be more than FAKE_LOG_MAX */
	unsigned submits, waits;
	unsigned submits_at_first_wait;
	struct fake_fault fault;
	struct fake_halfway halfway;
	uint64_t read_bytes;	 /* that moved */
	unsigned fault_permille; /* of all transfers, whatever FAULT says */
	uint64_t seed;
	/* Not usable: a device may still touch its lane's memory.  Set while no
	 * request runs. */
	const struct channel *closed;
	/* Unless it is NULL: adds what a wait for a transfer waits on. */
	void (*watch)(struct watch *watch);
	char *slabs[4096]; /* all that were ever given out */
	uint32_t n_slabs;
};

/* One at a time. */
extern struct fake_servers fake;

/* N servers, all UP, with all links UP, and a timeout for requests. */
void fake_start(uint32_t servers, uint32_t lanes, uint64_t timeout_ms);
/* The same with copies, or with DATA + PARITY shares. */
void fake_start_copies(uint32_t servers, uint32_t lanes, uint64_t timeout_ms,
		       uint32_t copies, uint32_t data, uint32_t parity);
void fake_stop(void);

/* Starts the thread of a server's session. */
void fake_session_start(uint32_t machine);

/* Has the slab LIVE on SERVER, and its other shards on those that follow, as if
 * it had been asked for. */
void fake_map_slab(uint64_t slab, uint32_t machine);

/* What a session does: takes the links down; builds them; repairs. */
void fake_unlink(uint32_t machine);
void fake_link_up(uint32_t machine);
void fake_repair(uint32_t machine);
/* Loses the server and what it holds, for good. */
void fake_lose(uint32_t machine);

/* Answers what was asked of the server's session. */
void fake_answer_asks(uint32_t machine);

/* Forgets what was sent. */
void fake_clear_log(void);

/* The bytes of PAGE as the server of its slab's first shard has them. */
const char *fake_stored(uint64_t page);

/* Fails unless that server has the N pages at BYTES.  Nothing repairs. */
void fake_assert_stored(uint64_t page, const char *bytes, uint32_t n);

/* Changes a byte of what shard I of PAGE's slab holds of it. */
void fake_spoil(uint64_t page, uint32_t i);

/* Has CALL called in the middle of a transfer (struct fake_halfway). */
void fake_at_halfway(enum xfer_op op, unsigned skip,
		     void (*call)(const struct xfer *x));

/* Fills N pages with something that tells PAGE and VERSION. */
void fake_fill(char *buf, uint64_t page, uint64_t n, uint64_t version);

/* Reads and writes, in pages. */
int fake_read(char *buf, uint64_t page, uint64_t n);
int fake_write(const char *buf, uint64_t page, uint64_t n);

/* Asserts that each slab counts its PRESENT pages right. */
void assert_counts_right(void);

#endif
