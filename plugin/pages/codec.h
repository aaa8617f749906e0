/* The codec: between a request, which has pages, and the redundancy, which has
 * stored units.  A page of PAGE_BYTES becomes one stored unit of unit_bytes.
 * Nothing but the codec knows how long a unit is, or what is in it.
 *
 *   write   encode -> redundancy_encode -> transfers; keep, once they are over
 *   read    transfers -> redundancy_decode -> decode
 *
 * There is one codec now, the identity: a unit is the page.  Where checksums
 * are on, it keeps the checksum of each page on this machine, and decode
 * compares.
 *
 * Threads: any thread may call these functions, and several threads at a time.
 * Only create and destroy block or allocate.  Pages and units are the caller's
 * memory, of any alignment.
 */
#ifndef RSWAP_CODEC_H
#define RSWAP_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "checksum.h"
#include "error.h"

struct codec;

struct codec_ops {
	/* Makes UNIT from BYTES, the bytes of PAGE.  May be called again for
	 * the same write, with the same bytes.  By the thread that has locked
	 * PAGE.  Not called where the codec is direct. */
	void (*encode)(const struct codec *codec, uint64_t page,
		       const uint8_t *bytes, uint8_t *unit);
	/* Keeps what decode needs, once enough shards have UNIT.  By the thread
	 * that has locked PAGE, before it sets the page's state. */
	void (*keep)(struct codec *codec, uint64_t page, const uint8_t *unit);
	/* Makes BYTES from UNIT, and tells whether UNIT is the unit that was
	 * kept last for PAGE; else BYTES mean nothing.  The page may change
	 * meanwhile: the caller checks its version afterwards. */
	bool (*decode)(const struct codec *codec, uint64_t page,
		       const uint8_t *unit, uint8_t *bytes);
};

struct codec {
	const struct codec_ops *ops;
	uint32_t unit_bytes;
	/* A unit's bytes are the page's.  So the caller can pass the pages as
	 * units, and no byte is copied: UNIT and BYTES are the same then. */
	bool direct;
	struct checksums checksums; /* empty where there are none */
};

/* The bytes of a unit, known before the codec is created. */
static inline uint32_t codec_unit_bytes(void)
{
	return PAGE_BYTES;
}

/* The identity, for PAGES pages, with a checksum of each page where CHECKSUM. 0
 * or a negative errno with a line in WHY. */
int codec_create(struct codec *codec, uint64_t pages, bool checksum,
		 struct error *why);
void codec_destroy(struct codec *codec);

/* How many bytes codec_create allocated. */
uint64_t codec_memory_bytes(const struct codec *codec);

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
 * other. */
void codec_encode(const struct codec *codec, uint64_t page, uint32_t n,
		  const uint8_t *bytes, uint8_t *units);
void codec_keep(struct codec *codec, uint64_t page, uint32_t n,
		const uint8_t *units);
/* Returns how many pages are right before the first that is wrong. */
uint32_t codec_decode(const struct codec *codec, uint64_t page, uint32_t n,
		      const uint8_t *units, uint8_t *bytes);

#endif
