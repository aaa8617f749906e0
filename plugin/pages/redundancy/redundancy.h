/* How stored units (pages/codec.h; one for each page) become what the servers
 * hold: copies, or Reed-Solomon shares.  A slab has SHARDS shards, each on
 * another server and each with another shard index.  A shard holds one chunk of
 * every unit.  The chunks of any NEED shard indexes give the unit back.
 *
 *   copies(N)   shards N,     need 1:  every chunk is the whole unit
 *   rs(K, M)    shards K + M, need K:  the chunks of shard indexes 0 to K-1 are
 *                                      the unit, cut; the other M are parity
 *
 * A chunk has chunk_bytes.  The share of a shard index is that index's chunks
 * of several units in turn: unit i's chunk is at i * chunk_bytes.
 *
 * Nothing above this header asks for the kind of redundancy.  A set of shard
 * indexes is a word of bits, INDEXES.
 *
 * Threads: any thread may call these functions, and several threads on one
 * struct redundancy: after create nothing in the struct changes, and no
 * function allocates, blocks or fails.  Buffers are the caller's, of any
 * alignment, and overlap only where this header says so.
 */
#ifndef RSWAP_REDUNDANCY_H
#define RSWAP_REDUNDANCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define REDUNDANCY_MAX_COPIES 4
#define REDUNDANCY_MIN_DATA   2
#define REDUNDANCY_MAX_DATA   8
#define REDUNDANCY_MIN_PARITY 1
#define REDUNDANCY_MAX_PARITY 4
#define REDUNDANCY_MAX_SHARDS (REDUNDANCY_MAX_DATA + REDUNDANCY_MAX_PARITY)

struct redundancy;
struct rs_tables;

struct redundancy_ops {
	void (*destroy)(struct redundancy *r);

	/* Makes the shares of N units at UNITS, which lie one after the
	 * other: SHARES[i], for each shard index i, gets
	 * n * chunk_bytes.  NULL where every share is the units. */
	void (*encode)(const struct redundancy *r, const uint8_t *units,
		       uint32_t n, uint8_t *const *shares);

	/* Makes the units from NEED shares: SHARES[i] is the share of shard
	 * index INDEXES[i].  The shard indexes are distinct, in any order.  Any
	 * set will do; data shares alone are only copied.  Where every share is
	 * the units, a share may lie at UNITS. */
	void (*decode)(const struct redundancy *r, const uint32_t *indexes,
		       const uint8_t *const *shares, uint32_t n,
		       uint8_t *units);
};

struct redundancy {
	const struct redundancy_ops *ops;
	uint32_t shards;
	uint32_t need;
	uint32_t unit_bytes;
	uint32_t chunk_bytes;  /* copies: unit_bytes; rs: a multiple of 16 */
	struct rs_tables *rs;  /* the implementation's own */
	uint64_t memory_bytes; /* that create allocated */
};

/* What a user asks for: COPIES of a page, or DATA + PARITY shares of a page
 * where DATA is above 0. */
struct redundancy_config {
	uint32_t copies, data, parity;
};

/* The configuration key for this redundancy, and its value. */
struct redundancy_text {
	const char *key;
	char value[16];
};

uint32_t redundancy_shards(const struct redundancy_config *config);
/* The chunk_bytes of units of UNIT_BYTES, known before redundancy_create. */
uint32_t redundancy_chunk_bytes(const struct redundancy_config *config,
				uint32_t unit_bytes);
uint32_t redundancy_rs_chunk_bytes(uint32_t unit_bytes, uint32_t k);
struct redundancy_text
redundancy_format(const struct redundancy_config *config);

/* As redundancy_create_copies or redundancy_create_rs. */
int redundancy_create(struct redundancy *r,
		      const struct redundancy_config *config,
		      uint32_t unit_bytes, struct error *why);
/* N copies of units of UNIT_BYTES, 1 to REDUNDANCY_MAX_COPIES.  0, or -EINVAL
 * with a line in WHY. */
int redundancy_create_copies(struct redundancy *r, uint32_t unit_bytes,
			     uint32_t n, struct error *why);
/* K data and M parity shards of units of UNIT_BYTES, within the limits above.
 * Makes the tables for every set of K shard indexes: 32 * K * M bytes for each
 * set, so 4 KiB for 4+2 and 496 KiB for 8+4, populated.  Then proves the
 * tables.  0 or a negative errno with a line in WHY; -EIO where the proof
 * fails. */
int redundancy_create_rs(struct redundancy *r, uint32_t unit_bytes, uint32_t k,
			 uint32_t m, struct error *why);
void redundancy_destroy(struct redundancy *r);

/* Encodes two known units, and decodes them from every set of NEED shares. This
 * proves that all tables of later calls are right, on this processor and with
 * this ISA-L.  It does not prove that memory and processor stay right:
 * checksums are for that.
 *
 * There are at most 495 sets (8+4) with 4 missing shares each: some 2 ms, and
 * under 0.1 s where ISA-L has no vector instructions.  Allocates while it runs.
 * 0, or -EIO or -ENOMEM with a line in WHY.  redundancy_create_rs calls it. */
int redundancy_prove(const struct redundancy *r, struct error *why);

/* Parses all of TEXT, "K+M", into *K and *M.  False for anything else, or
 * beyond the limits below; they are untouched then. */
bool redundancy_parse(const char *text, uint32_t *k, uint32_t *m);

/* Whether a page can be read from other servers when one of its shards is
 * missing. */
static inline bool redundancy_can_spare(const struct redundancy *r)
{
	return r->shards > r->need;
}

/* All shard indexes of a slab. */
static inline uint32_t redundancy_all(const struct redundancy *r)
{
	return (1u << r->shards) - 1;
}

/* Whether the shares of INDEXES give the units back. */
static inline bool redundancy_is_enough(const struct redundancy *r,
					uint32_t indexes)
{
	return (uint32_t)__builtin_popcount(indexes) >= r->need;
}

/* Whether a wrong page shows which share is wrong, because the page was decoded
 * from one share alone. */
static inline bool redundancy_blames(const struct redundancy *r)
{
	return r->need == 1;
}

/* Whether a share is the units already, so that there is nothing to decode. */
static inline bool redundancy_shares_units(const struct redundancy *r)
{
	return !r->ops->encode;
}

/* How many bytes of memory redundancy_encode needs; 0: none. */
static inline uint64_t redundancy_room_bytes(const struct redundancy *r,
					     uint32_t n)
{
	return r->ops->encode ? (uint64_t)r->shards * n * r->chunk_bytes : 0;
}

/* Makes the shares of N units in ROOM, which has redundancy_room_bytes, and
 * tells where the share of each shard index is.  Where no room is needed, every
 * share is UNITS itself.  UNITS is not changed. */
void redundancy_encode(const struct redundancy *r, uint8_t *units, uint32_t n,
		       uint8_t *room, uint8_t **shares);

static inline void redundancy_decode(const struct redundancy *r,
				     const uint32_t *indexes,
				     const uint8_t *const *shares, uint32_t n,
				     uint8_t *units)
{
	r->ops->decode(r, indexes, shares, n, units);
}

#endif
