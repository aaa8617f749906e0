/* The codec: between a request, which has pages, and the redundancy, which has
 * stored units.  A page of PAGE_BYTES becomes one stored unit of unit_bytes.
 * Nothing but the codec knows how long a unit is, or what is in it.
 *
 *   write   encode -> redundancy_encode -> transfers; keep, once they are over
 *   read    transfers -> redundancy_decode -> decode
 *
 *   identity (identity.c)   a unit is the page.  Where checksums are on, it
 *                           keeps the checksum of each page on this machine,
 *                           and decode compares.
 *   sealed (sealed.c)       a unit is the sealed page (seal.h).  It keeps the
 *                           generation of each page on this machine, without
 *                           which no unit of the page opens.
 *
 * A write that is repeated is encoded again, and each time its units get
 * generations of their own.  So the units of two attempts differ, and only
 * those of the attempt whose generations were kept can be read.
 *
 * Threads: any thread may call these functions, and several threads at a time,
 * each with the number of the LANE that it holds.  Only create and destroy
 * block or allocate.  Pages and units are the caller's memory, of any
 * alignment.
 */
#ifndef RSWAP_CODEC_H
#define RSWAP_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "checksum.h"
#include "error.h"
#include "generation.h"

struct codec;
struct sealer;

struct codec_ops {
	/* Takes the generations of N units, and returns the first.  0 where
	 * none is left.  NULL where the codec is direct. */
	uint64_t (*take)(const struct codec *codec, uint32_t n);
	/* Makes UNIT from BYTES, the bytes of PAGE.  By the thread that has
	 * locked PAGE.  False where the page cannot be encoded.  NULL where the
	 * codec is direct. */
	bool (*encode)(const struct codec *codec, uint32_t lane, uint64_t page,
		       uint64_t generation, const uint8_t *bytes,
		       uint8_t *unit);
	/* Keeps what decode needs, once enough shards have UNIT.  By the thread
	 * that has locked PAGE, before it sets the page's state. */
	void (*keep)(struct codec *codec, uint64_t page, uint64_t generation,
		     const uint8_t *unit);
	/* Makes BYTES from UNIT, and tells whether UNIT is the unit that was
	 * kept last for PAGE; else BYTES mean nothing.  The page may change
	 * meanwhile: the caller checks its version afterwards. */
	bool (*decode)(const struct codec *codec, uint32_t lane, uint64_t page,
		       const uint8_t *unit, uint8_t *bytes);
};

struct codec {
	const struct codec_ops *ops;
	uint32_t unit_bytes;
	/* A unit's bytes are the page's.  So the caller can pass the pages as
	 * units, and no byte is copied: UNIT and BYTES are the same then. */
	bool direct;
	/* What the codec keeps; empty in the other codec. */
	struct checksums checksums;
	struct generations generations;
	struct sealer *sealer;
};

struct codec_config {
	uint64_t pages;
	uint32_t lanes; /* that encode and decode */
	bool encrypt;	/* sealed, else identity */
	bool checksum;	/* of the identity */
};

/* The bytes of a unit, known before the codec is created. */
uint32_t codec_unit_bytes(bool encrypt);

/* 0 or a negative errno with a line in WHY. */
int codec_create(struct codec *codec, const struct codec_config *config,
		 struct error *why);
void codec_destroy(struct codec *codec);

/* The codecs that codec_create chooses from. */
int codec_create_identity(struct codec *codec,
			  const struct codec_config *config, struct error *why);
int codec_create_sealed(struct codec *codec, const struct codec_config *config,
			struct error *why);

/* How many bytes for each page codec_create allocated, for all pages. */
uint64_t codec_memory_bytes(const struct codec *codec);

/* The name of the cipher that seals pages, or "none". */
const char *codec_cipher(const struct codec *codec);

/* The units of N pages that lie one after the other. */
static inline uint64_t codec_bytes(const struct codec *codec, uint32_t n)
{
	return (uint64_t)n * codec->unit_bytes;
}

/* How many of these bytes need memory beside the pages. */
static inline uint64_t codec_scratch_bytes(const struct codec *codec,
					   uint32_t n)
{
	return codec->direct ? 0 : codec_bytes(codec, n);
}

/* The same as the ops, for N pages from PAGE: pages and units lie one after the
 * other, and so do their generations. */

/* Sets *GENERATION to that of the first unit, for codec_keep.  False where the
 * pages cannot be encoded, as no generation is left. */
bool codec_encode(const struct codec *codec, uint32_t lane, uint64_t page,
		  uint32_t n, const uint8_t *bytes, uint8_t *units,
		  uint64_t *generation);
void codec_keep(struct codec *codec, uint64_t page, uint32_t n,
		uint64_t generation, const uint8_t *units);
/* Returns how many pages are right before the first that is wrong. */
uint32_t codec_decode(const struct codec *codec, uint32_t lane, uint64_t page,
		      uint32_t n, const uint8_t *units, uint8_t *bytes);

#endif
