/* Coding, and its proof, for every kind of redundancy. */
#include "redundancy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* More than one unit, so that shares are longer than a chunk. */
#define PROOF_UNITS 2u

void redundancy_destroy(struct redundancy *r)
{
	if (r->ops)
		r->ops->destroy(r);
	*r = (struct redundancy){ 0 };
}

/* --- coding --- */

void redundancy_encode(const struct redundancy *r, uint8_t *units, uint32_t n,
		       uint8_t *room, uint8_t **shares)
{
	size_t share_bytes = (size_t)n * r->chunk_bytes;

	for (uint32_t index = 0; index < r->shards; index++)
		shares[index] =
			r->ops->encode ? room + index * share_bytes : units;
	if (r->ops->encode)
		r->ops->encode(r, units, n, shares);
}

/* --- the proof --- */

struct proof {
	uint32_t bytes; /* of the units */
	uint8_t *units, *back;
	uint8_t *shares[REDUNDANCY_MAX_SHARDS];
	uint8_t *room; /* of the shares */
	uint8_t memory[];
};

static struct proof *make_proof(const struct redundancy *r)
{
	uint32_t bytes = PROOF_UNITS * r->unit_bytes;
	struct proof *proof = malloc(sizeof *proof + 2 * (size_t)bytes +
				     redundancy_room_bytes(r, PROOF_UNITS));

	if (!proof)
		return NULL;
	proof->bytes = bytes;
	proof->units = proof->memory;
	proof->back = proof->units + bytes;
	proof->room = proof->back + bytes;
	return proof;
}

/* Bytes without a pattern: a wrong table then gives bytes that are wrong in
 * many places. */
static void fill_proof(struct proof *proof)
{
	uint32_t x = 0x9e3779b9;

	for (uint32_t i = 0; i < proof->bytes; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		proof->units[i] = (uint8_t)(x >> 24);
	}
}

/* Whether the shares of MASK's shard indexes give back the units. */
static bool prove_set(const struct redundancy *r, struct proof *proof,
		      uint32_t mask)
{
	const uint8_t *shares[REDUNDANCY_MAX_SHARDS];
	uint32_t indexes[REDUNDANCY_MAX_SHARDS], n = 0;

	for (uint32_t index = 0; index < r->shards; index++) {
		if (mask & 1u << index) {
			indexes[n] = index;
			shares[n++] = proof->shares[index];
		}
	}
	memset(proof->back, 0, proof->bytes);
	redundancy_decode(r, indexes, shares, PROOF_UNITS, proof->back);
	return memcmp(proof->back, proof->units, proof->bytes) == 0;
}

static void tell_set(const struct redundancy *r, uint32_t mask,
		     struct error *why)
{
	char list[REDUNDANCY_MAX_SHARDS * 3 + 1] = "";
	size_t at = 0;

	for (uint32_t index = 0; index < r->shards; index++) {
		if (mask & 1u << index)
			at += (size_t)snprintf(list + at, sizeof list - at,
					       " %u", index);
	}
	error_set(
		why,
		"%u+%u shares: a known page does not come back from shards%s: "
		"ISA-L computes wrongly on this processor; use replicas=, "
		"or another version of ISA-L",
		r->need, r->shards - r->need, list);
}

int redundancy_prove(const struct redundancy *r, struct error *why)
{
	struct proof *proof = make_proof(r);
	int rc = 0;

	if (!proof) {
		error_set(why, "no memory to prove the shares of a page");
		return -ENOMEM;
	}
	fill_proof(proof);
	redundancy_encode(r, proof->units, PROOF_UNITS, proof->room,
			  proof->shares);
	for (uint32_t mask = 0; mask < 1u << r->shards && !rc; mask++) {
		if ((uint32_t)__builtin_popcount(mask) == r->need &&
		    !prove_set(r, proof, mask)) {
			tell_set(r, mask, why);
			rc = -EIO;
		}
	}
	free(proof);
	return rc;
}
