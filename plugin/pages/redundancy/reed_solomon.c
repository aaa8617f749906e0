/* Reed-Solomon shares, by ISA-L.
 *
 * Row r of the Cauchy matrix times the K pieces of a unit is the chunk of shard
 * index r; the first K rows are the identity.  Any K rows have an inverse.  So
 * for any set of K chunks at hand, each data chunk that is missing is a fixed
 * combination of them.  These combinations are made at create for every set, as
 * the tables that ISA-L multiplies with.
 *
 * The tables of a call of ec_init_tables are opaque: since ISA-L 2.31 it
 * depends on the processor how they are laid out.  So a call of ec_encode_data
 * gets all tables of one call of ec_init_tables, never a part of them, and
 * never tables of two calls.  Encoding has tables for all M parity chunks
 * together.  Each missing data chunk of each set has tables of its own, and
 * decoding makes these chunks one by one.
 */
#include "redundancy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/erasure_code.h>

/* What ec_init_tables may use for each coefficient. */
#define TABLE_BYTES 32u
/* The smallest block of vector instructions.  ISA-L takes any length: where
 * blocks are longer, the last one overlaps the block before it.  A longer
 * alignment would waste more of the servers' memory: 12 % for a sealed page in
 * eight shares, with 64. */
#define CHUNK_ALIGN 16u

/* K shard indexes at hand, ascending, and the indexes of data chunks that are
 * not among them, ascending: M at most. */
struct index_set {
	uint8_t at_hand[REDUNDANCY_MAX_DATA];
	uint8_t missing[REDUNDANCY_MAX_PARITY];
	uint8_t n_missing;
	uint8_t *tables; /* of the missing indexes, a call's for each */
};

struct rs_tables {
	uint32_t last_bytes; /* of the unit in the last data chunk */
	uint32_t n_sets;
	uint32_t index_bytes;	/* that the tables of one index take */
	struct index_set *sets; /* [n_sets] */
	uint8_t *encode;	/* one call's, of all M parity chunks */
	uint8_t *tables;	/* all of them: encode's, then the sets' */
	uint16_t set_of[1u << REDUNDANCY_MAX_SHARDS]; /* by mask */
};

/* --- at create --- */

static void fill_index_set(struct index_set *set, uint32_t mask, uint32_t k,
			   uint32_t shards)
{
	uint32_t at_hand = 0;

	for (uint32_t index = 0; index < shards; index++) {
		if (mask & 1u << index)
			set->at_hand[at_hand++] = (uint8_t)index;
		else if (index < k)
			set->missing[set->n_missing++] = (uint8_t)index;
	}
}

/* Row INDEX of MATRIX times INVERSE: the factor of each chunk at hand in the
 * chunk of INDEX. */
static void combine_index(const uint8_t *matrix, const uint8_t *inverse,
			  uint32_t k, uint32_t index, uint8_t *coefficients)
{
	for (uint32_t j = 0; j < k; j++) {
		uint8_t sum = 0;

		for (uint32_t i = 0; i < k; i++)
			sum ^= gf_mul(matrix[index * k + i],
				      inverse[i * k + j]);
		coefficients[j] = sum;
	}
}

static int fill_tables(const struct rs_tables *t, const struct index_set *set,
		       const uint8_t *matrix, uint32_t k)
{
	uint8_t shard[REDUNDANCY_MAX_DATA * REDUNDANCY_MAX_DATA];
	uint8_t inverse[REDUNDANCY_MAX_DATA * REDUNDANCY_MAX_DATA];
	uint8_t coefficients[REDUNDANCY_MAX_DATA];

	for (uint32_t i = 0; i < k; i++)
		memcpy(shard + i * k, matrix + set->at_hand[i] * k, k);
	if (gf_invert_matrix(shard, inverse, (int)k))
		return -EINVAL;
	for (uint32_t i = 0; i < set->n_missing; i++) {
		combine_index(matrix, inverse, k, set->missing[i],
			      coefficients);
		ec_init_tables((int)k, 1, coefficients,
			       set->tables + i * t->index_bytes);
	}
	return 0;
}

static uint32_t count_sets(uint32_t shards, uint32_t k)
{
	uint32_t n = 0;

	for (uint32_t mask = 0; mask < 1u << shards; mask++)
		n += (uint32_t)__builtin_popcount(mask) == k;
	return n;
}

static int fill_sets(struct rs_tables *t, uint32_t k, uint32_t m)
{
	uint8_t matrix[REDUNDANCY_MAX_SHARDS * REDUNDANCY_MAX_DATA];
	uint32_t shards = k + m, n = 0;

	gf_gen_cauchy1_matrix(matrix, (int)shards, (int)k);
	ec_init_tables((int)k, (int)m, matrix + k * k, t->encode);
	for (uint32_t mask = 0; mask < 1u << shards; mask++) {
		struct index_set *set = &t->sets[n];
		int rc;

		if ((uint32_t)__builtin_popcount(mask) != k)
			continue;
		fill_index_set(set, mask, k, shards);
		set->tables = t->encode + (size_t)(n + 1) * m * t->index_bytes;
		rc = fill_tables(t, set, matrix, k);
		if (rc)
			return rc;
		t->set_of[mask] = (uint16_t)n++;
	}
	return 0;
}

static void free_tables(struct rs_tables *t)
{
	if (t) {
		free(t->sets);
		free(t->tables);
	}
	free(t);
}

static struct rs_tables *make_tables(uint32_t k, uint32_t m,
				     uint64_t *memory_bytes)
{
	struct rs_tables *t = calloc(1, sizeof *t);
	size_t table_bytes;

	if (!t)
		return NULL;
	t->n_sets = count_sets(k + m, k);
	t->index_bytes = k * TABLE_BYTES;
	table_bytes = (size_t)(t->n_sets + 1) * m * t->index_bytes;
	t->sets = calloc(t->n_sets, sizeof *t->sets);
	t->tables = aligned_alloc(TABLE_BYTES, table_bytes);
	t->encode = t->tables;
	if (!t->sets || !t->tables) {
		free_tables(t);
		return NULL;
	}
	*memory_bytes = sizeof *t + t->n_sets * sizeof *t->sets + table_bytes;
	return t;
}

/* --- coding --- */

static const struct index_set *find_set(const struct redundancy *r,
					const uint32_t *indexes)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < r->need; i++)
		mask |= 1u << indexes[i];
	return &r->rs->sets[r->rs->set_of[mask]];
}

/* The shares by shard index, NULL where there is none. */
static void sort_shares(const struct redundancy *r, const uint32_t *indexes,
			const uint8_t *const *shares, const uint8_t **by_index)
{
	memset(by_index, 0, sizeof *by_index * REDUNDANCY_MAX_SHARDS);
	for (uint32_t i = 0; i < r->need; i++)
		by_index[indexes[i]] = shares[i];
}

/* Makes BYTES of SET's missing data chunk number MISSING.  The casts are needed
 * because ISA-L declares its input pointers without const. */
static void multiply(const struct redundancy *r, const struct index_set *set,
		     uint32_t missing, uint8_t **from, uint8_t *to,
		     uint32_t bytes)
{
	ec_encode_data((int)bytes, (int)r->need, 1,
		       set->tables + missing * r->rs->index_bytes, from, &to);
}

/* How many bytes of a unit the chunk of data shard index INDEX has. */
static uint32_t index_bytes(const struct redundancy *r, uint32_t index)
{
	return index + 1 < r->need ? r->chunk_bytes : r->rs->last_bytes;
}

static void rs_encode(const struct redundancy *r, const uint8_t *units,
		      uint32_t n, uint8_t *const *shares)
{
	uint32_t chunk = r->chunk_bytes, last = r->need - 1;
	uint8_t *all[REDUNDANCY_MAX_SHARDS];

	memcpy(all, shares, sizeof *all * r->shards);
	for (uint32_t index = 0; index < r->need; index++) {
		uint32_t bytes = index_bytes(r, index);

		for (uint32_t i = 0; i < n; i++) {
			uint8_t *to = all[index] + (size_t)i * chunk;

			memcpy(to,
			       units + (size_t)i * r->unit_bytes +
				       index * chunk,
			       bytes);
			if (index == last)
				memset(to + bytes, 0, chunk - bytes);
		}
	}
	ec_encode_data((int)(n * chunk), (int)r->need,
		       (int)(r->shards - r->need), r->rs->encode, all,
		       all + r->need);
}

/* Makes the missing data chunks of one unit. */
static void recover_unit(const struct redundancy *r,
			 const struct index_set *set, uint8_t **from,
			 uint8_t *unit)
{
	/* The last data chunk's padding has no room in the unit. */
	for (uint32_t i = 0; i < set->n_missing; i++) {
		uint32_t index = set->missing[i];

		multiply(r, set, i, from, unit + index * r->chunk_bytes,
			 index_bytes(r, index));
	}
}

static void rs_decode(const struct redundancy *r, const uint32_t *indexes,
		      const uint8_t *const *shares, uint32_t n, uint8_t *units)
{
	const struct index_set *set = find_set(r, indexes);
	const uint8_t *by_index[REDUNDANCY_MAX_SHARDS];
	uint8_t *from[REDUNDANCY_MAX_DATA];

	sort_shares(r, indexes, shares, by_index);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *unit = units + (size_t)i * r->unit_bytes;
		size_t at = (size_t)i * r->chunk_bytes;

		for (uint32_t j = 0; j < r->need; j++) {
			uint32_t index = set->at_hand[j];

			from[j] = (uint8_t *)(uintptr_t)by_index[index] + at;
			if (index < r->need)
				memcpy(unit + index * r->chunk_bytes, from[j],
				       index_bytes(r, index));
		}
		recover_unit(r, set, from, unit);
	}
}

static void rs_destroy(struct redundancy *r)
{
	free_tables(r->rs);
}

static const struct redundancy_ops rs_ops = {
	.destroy = rs_destroy,
	.encode = rs_encode,
	.decode = rs_decode,
};

uint32_t redundancy_rs_chunk_bytes(uint32_t unit_bytes, uint32_t k)
{
	uint32_t piece = (unit_bytes + k - 1) / k;

	return (piece + CHUNK_ALIGN - 1) / CHUNK_ALIGN * CHUNK_ALIGN;
}

int redundancy_create_rs(struct redundancy *r, uint32_t unit_bytes, uint32_t k,
			 uint32_t m, struct error *why)
{
	int rc;

	if (k < REDUNDANCY_MIN_DATA || k > REDUNDANCY_MAX_DATA ||
	    m < REDUNDANCY_MIN_PARITY || m > REDUNDANCY_MAX_PARITY) {
		error_set(why,
			  "%u+%u shares of a page: allowed are %u to %u "
			  "of data and %u to %u of parity",
			  k, m, REDUNDANCY_MIN_DATA, REDUNDANCY_MAX_DATA,
			  REDUNDANCY_MIN_PARITY, REDUNDANCY_MAX_PARITY);
		return -EINVAL;
	}
	*r = (struct redundancy){
		.ops = &rs_ops,
		.shards = k + m,
		.need = k,
		.unit_bytes = unit_bytes,
		.chunk_bytes = redundancy_rs_chunk_bytes(unit_bytes, k),
	};
	r->rs = make_tables(k, m, &r->memory_bytes);
	if (!r->rs) {
		error_set(why, "no memory for the tables of %u+%u shares", k,
			  m);
		return -ENOMEM;
	}
	r->rs->last_bytes = unit_bytes - (k - 1) * r->chunk_bytes;
	rc = fill_sets(r->rs, k, m);
	if (rc)
		error_set(why, "%u+%u shares: a set of shards has no inverse",
			  k, m);
	else
		rc = redundancy_prove(r, why);
	if (rc)
		redundancy_destroy(r);
	return rc;
}
