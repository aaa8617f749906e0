/* SipHash-2-4 of two words: a hash whose collisions nobody can choose who does
 * not know the key.  J.-P. Aumasson, D. J. Bernstein: "SipHash: a fast
 * short-input PRF", INDOCRYPT 2012. */
#ifndef RSWAP_SIPHASH_H
#define RSWAP_SIPHASH_H

#include <stdint.h>

struct siphash_key {
	uint64_t k[2]; /* random */
};

uint64_t siphash(const struct siphash_key *key, uint64_t a, uint64_t b);

#endif
