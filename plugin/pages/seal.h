/* Sealing: a page becomes a unit that only this process can read, and that
 * nobody else can make or change unseen.
 *
 *   unit, SEAL_UNIT_BYTES   4096 bytes   the page, encrypted
 *                             16 bytes   the tag, which authenticates them
 *
 *   nonce, 96 bits      40 bits   the page's number
 *                       48 bits   the generation
 *                        8 bits   zeros
 *
 * The cipher is AES-256-GCM (NIST SP 800-38D) or ChaCha20-Poly1305 (RFC 8439),
 * by GnuTLS.  Both break where a nonce is used twice with a key.  So every
 * sealing gets a generation of its own, also where the same write is sealed
 * again: the sealer counts them for the whole process, and no generation comes
 * back.  The key is random, new with each sealer, and leaves the sealer never.
 *
 * The generation is not in the unit.  The caller keeps the generation of each
 * page, and opens a unit with it.  The tag depends on the nonce.  So a unit
 * that was sealed for another page, or earlier for the same page, does not open
 * any more than a unit of which a bit changed.  The number of a page also tells
 * its slab, and where in the slab it is.
 *
 * Threads: several threads may seal and open at a time, each with a LANE of its
 * own: a cipher of GnuTLS has a state, so there is one cipher for each lane.
 * Any thread may take generations.  Only sealer_create and sealer_destroy
 * allocate.
 */
#ifndef RSWAP_SEAL_H
#define RSWAP_SEAL_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "pagemap.h"

#define SEAL_TAG_BYTES	16u
#define SEAL_UNIT_BYTES (PAGE_BYTES + SEAL_TAG_BYTES)

#define SEAL_PAGE_BITS	     40u
#define SEAL_GENERATION_BITS 48u

struct sealer;

/* A sealer for LANES lanes, with a new key and the faster cipher: it seals some
 * pages with each to find out.  AES-256-GCM, unless the other is clearly
 * faster, as it is where the processor has no instructions for AES.  The key is
 * in memory that is zeroed before it is freed.  0 or a negative errno with a
 * line in WHY. */
int sealer_create(struct sealer **sealer, uint32_t lanes, struct error *why);
/* SEALER may be NULL.  No thread seals or opens any more. */
void sealer_destroy(struct sealer *sealer);

/* "aes-256-gcm" or "chacha20-poly1305". */
const char *sealer_cipher(const struct sealer *sealer);

/* Takes N generations for the caller alone: the number returned and those that
 * follow.  They are above 0.  0 where the 2^48 generations are used up: nothing
 * can be sealed any more.  That takes nine years at a million pages a second.
 */
uint64_t sealer_take(struct sealer *sealer, uint32_t n);

/* Seals BYTES, the bytes of PAGE, into UNIT.  The two do not overlap.  False
 * where GnuTLS refuses, which it has no reason for. */
bool seal_page(const struct sealer *sealer, uint32_t lane, uint64_t page,
	       uint64_t generation, const uint8_t *bytes, uint8_t *unit);
/* Opens UNIT into BYTES, which do not overlap.  False where UNIT is not what
 * seal_page made for PAGE and GENERATION; then BYTES mean nothing. */
bool seal_open(const struct sealer *sealer, uint32_t lane, uint64_t page,
	       uint64_t generation, const uint8_t *unit, uint8_t *bytes);

#endif
