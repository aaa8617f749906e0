/* Reed-Solomon shares, by ISA-L.
 *
 * Row r of the Cauchy matrix times the K pieces of a page is the unit of row r;
 * the first K rows are the identity.  Any K rows have an inverse, so for any
 * set of K rows at hand, each of the M others is a fixed combination of them.
 * Those combinations, as the tables that ISA-L multiplies with, are made at
 * create for every set.
 *
 * The tables of a call of ec_init_tables are opaque: since ISA-L 2.31 it
 * depends on the processor how they are laid out.  So no call of ec_encode_data
 * gets a part of them, or more than one call's: encoding has tables for all M
 * parity rows; and each missing row of each set has tables of its own, so that
 * decoding takes the missing data rows one by one, and a reconstruction takes
 * one.
 */
#include "redundancy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/erasure_code.h>

#include "pages/pagemap.h"

/* What ec_init_tables may use for each coefficient. */
#define TABLE_BYTES 32u
/* Vector instructions take whole blocks of this many bytes. */
#define UNIT_ALIGN 64u

/* K rows at hand, ascending, and the M others, ascending. */
struct row_set {
	uint8_t at_hand[REDUNDANCY_MAX_DATA];
	uint8_t missing[REDUNDANCY_MAX_PARITY];
	uint8_t *tables; /* of the M missing rows, a call's for each */
};

struct rs_tables {
	uint32_t last_bytes; /* of the page in the last data row's unit */
	uint32_t n_sets;
	uint32_t row_bytes;   /* that the tables of one row take */
	struct row_set *sets; /* [n_sets] */
	uint8_t *encode;      /* one call's, of all M parity rows */
	uint8_t *tables;      /* all of them: encode's, then the sets' */
	uint16_t set_of[1u << REDUNDANCY_MAX_PARTS]; /* by mask of rows */
};

/* --- at create --- */

static void fill_row_set(struct row_set *set, uint32_t mask, uint32_t parts)
{
	uint32_t at_hand = 0, missing = 0;

	for (uint32_t row = 0; row < parts; row++) {
		if (mask & 1u << row)
			set->at_hand[at_hand++] = (uint8_t)row;
		else
			set->missing[missing++] = (uint8_t)row;
	}
}

/* Row ROW of MATRIX times INVERSE: what each row at hand counts for in it. */
static void combine_row(const uint8_t *matrix, const uint8_t *inverse,
			uint32_t k, uint32_t row, uint8_t *coefficients)
{
	for (uint32_t j = 0; j < k; j++) {
		uint8_t sum = 0;

		for (uint32_t i = 0; i < k; i++)
			sum ^= gf_mul(matrix[row * k + i], inverse[i * k + j]);
		coefficients[j] = sum;
	}
}

static int fill_tables(const struct rs_tables *t, const struct row_set *set,
		       const uint8_t *matrix, uint32_t k, uint32_t m)
{
	uint8_t part[REDUNDANCY_MAX_DATA * REDUNDANCY_MAX_DATA];
	uint8_t inverse[REDUNDANCY_MAX_DATA * REDUNDANCY_MAX_DATA];
	uint8_t coefficients[REDUNDANCY_MAX_DATA];

	for (uint32_t i = 0; i < k; i++)
		memcpy(part + i * k, matrix + set->at_hand[i] * k, k);
	if (gf_invert_matrix(part, inverse, (int)k))
		return -EINVAL;
	for (uint32_t i = 0; i < m; i++) {
		combine_row(matrix, inverse, k, set->missing[i], coefficients);
		ec_init_tables((int)k, 1, coefficients,
			       set->tables + i * t->row_bytes);
	}
	return 0;
}

static uint32_t count_sets(uint32_t parts, uint32_t k)
{
	uint32_t n = 0;

	for (uint32_t mask = 0; mask < 1u << parts; mask++)
		n += (uint32_t)__builtin_popcount(mask) == k;
	return n;
}

static int fill_sets(struct rs_tables *t, uint32_t k, uint32_t m)
{
	uint8_t matrix[REDUNDANCY_MAX_PARTS * REDUNDANCY_MAX_DATA];
	uint32_t parts = k + m, n = 0;

	gf_gen_cauchy1_matrix(matrix, (int)parts, (int)k);
	ec_init_tables((int)k, (int)m, matrix + k * k, t->encode);
	for (uint32_t mask = 0; mask < 1u << parts; mask++) {
		struct row_set *set = &t->sets[n];
		int rc;

		if ((uint32_t)__builtin_popcount(mask) != k)
			continue;
		fill_row_set(set, mask, parts);
		set->tables = t->encode + (size_t)(n + 1) * m * t->row_bytes;
		rc = fill_tables(t, set, matrix, k, m);
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
	t->row_bytes = k * TABLE_BYTES;
	table_bytes = (size_t)(t->n_sets + 1) * m * t->row_bytes;
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

static const struct row_set *find_set(const struct redundancy *r,
				      const uint32_t *rows)
{
	uint32_t mask = 0;

	for (uint32_t i = 0; i < r->need; i++)
		mask |= 1u << rows[i];
	return &r->rs->sets[r->rs->set_of[mask]];
}

/* The shares by row, NULL where there is none. */
static void sort_shares(const struct redundancy *r, const uint32_t *rows,
			const uint8_t *const *shares, const uint8_t **by_row)
{
	memset(by_row, 0, sizeof *by_row * REDUNDANCY_MAX_PARTS);
	for (uint32_t i = 0; i < r->need; i++)
		by_row[rows[i]] = shares[i];
}

/* The missing row number MISSING of SET, BYTES of it.  ISA-L takes pointers to
 * what it only reads without const. */
static void multiply(const struct redundancy *r, const struct row_set *set,
		     uint32_t missing, uint8_t **from, uint8_t *to,
		     uint32_t bytes)
{
	ec_encode_data((int)bytes, (int)r->need, 1,
		       set->tables + missing * r->rs->row_bytes, from, &to);
}

/* The bytes of a page that data row ROW has. */
static uint32_t row_bytes(const struct redundancy *r, uint32_t row)
{
	return row + 1 < r->need ? r->unit_bytes : r->rs->last_bytes;
}

static void rs_encode(const struct redundancy *r, const uint8_t *pages,
		      uint32_t n_pages, uint8_t *const *shares)
{
	uint32_t unit = r->unit_bytes, last = r->need - 1;
	uint8_t *all[REDUNDANCY_MAX_PARTS];

	memcpy(all, shares, sizeof *all * r->parts);
	for (uint32_t row = 0; row < r->need; row++) {
		uint32_t bytes = row_bytes(r, row);

		for (uint32_t i = 0; i < n_pages; i++) {
			uint8_t *to = all[row] + (size_t)i * unit;

			memcpy(to, pages + (size_t)i * PAGE_BYTES + row * unit,
			       bytes);
			if (row == last)
				memset(to + bytes, 0, unit - bytes);
		}
	}
	ec_encode_data((int)(n_pages * unit), (int)r->need,
		       (int)(r->parts - r->need), r->rs->encode, all,
		       all + r->need);
}

/* The data rows of one page that are missing: the N_MISSING first of SET. */
static void recover_page(const struct redundancy *r, const struct row_set *set,
			 uint32_t n_missing, uint8_t **from, uint8_t *page)
{
	/* The last row's padding has no room in the page. */
	for (uint32_t i = 0; i < n_missing; i++) {
		uint32_t row = set->missing[i];

		multiply(r, set, i, from, page + row * r->unit_bytes,
			 row_bytes(r, row));
	}
}

static void rs_decode(const struct redundancy *r, const uint32_t *rows,
		      const uint8_t *const *shares, uint32_t n_pages,
		      uint8_t *pages)
{
	const struct row_set *set = find_set(r, rows);
	const uint8_t *by_row[REDUNDANCY_MAX_PARTS];
	uint8_t *from[REDUNDANCY_MAX_DATA];
	uint32_t n_missing = 0;

	sort_shares(r, rows, shares, by_row);
	while (n_missing < r->parts - r->need &&
	       set->missing[n_missing] < r->need)
		n_missing++;
	for (uint32_t i = 0; i < n_pages; i++) {
		uint8_t *page = pages + (size_t)i * PAGE_BYTES;
		size_t at = (size_t)i * r->unit_bytes;

		for (uint32_t j = 0; j < r->need; j++) {
			uint32_t row = set->at_hand[j];

			from[j] = (uint8_t *)(uintptr_t)by_row[row] + at;
			if (row < r->need)
				memcpy(page + row * r->unit_bytes, from[j],
				       row_bytes(r, row));
		}
		if (n_missing)
			recover_page(r, set, n_missing, from, page);
	}
}

static void rs_reconstruct(const struct redundancy *r, const uint32_t *rows,
			   const uint8_t *const *shares, uint32_t n_pages,
			   uint32_t row, uint8_t *share)
{
	const struct row_set *set = find_set(r, rows);
	const uint8_t *by_row[REDUNDANCY_MAX_PARTS];
	uint8_t *from[REDUNDANCY_MAX_DATA];
	uint32_t missing = 0;

	sort_shares(r, rows, shares, by_row);
	for (uint32_t j = 0; j < r->need; j++)
		from[j] = (uint8_t *)(uintptr_t)by_row[set->at_hand[j]];
	while (set->missing[missing] != row)
		missing++;
	multiply(r, set, missing, from, share, n_pages * r->unit_bytes);
}

static void rs_destroy(struct redundancy *r)
{
	free_tables(r->rs);
}

static const struct redundancy_ops rs_ops = {
	.name = "reed-solomon",
	.destroy = rs_destroy,
	.encode = rs_encode,
	.decode = rs_decode,
	.reconstruct = rs_reconstruct,
};

int redundancy_create_rs(struct redundancy *r, uint32_t k, uint32_t m,
			 struct reason *why)
{
	uint32_t piece = (PAGE_BYTES + k - 1) / (k ? k : 1);
	int rc;

	if (k < REDUNDANCY_MIN_DATA || k > REDUNDANCY_MAX_DATA ||
	    m < REDUNDANCY_MIN_PARITY || m > REDUNDANCY_MAX_PARITY) {
		reason_set(why,
			   "%u+%u shares of a page: allowed are %u to %u "
			   "of data and %u to %u of parity",
			   k, m, REDUNDANCY_MIN_DATA, REDUNDANCY_MAX_DATA,
			   REDUNDANCY_MIN_PARITY, REDUNDANCY_MAX_PARITY);
		return -EINVAL;
	}
	*r = (struct redundancy){
		.ops = &rs_ops,
		.parts = k + m,
		.need = k,
		.unit_bytes =
			(piece + UNIT_ALIGN - 1) / UNIT_ALIGN * UNIT_ALIGN,
	};
	r->rs = make_tables(k, m, &r->memory_bytes);
	if (!r->rs) {
		reason_set(why, "no memory for the tables of %u+%u shares", k,
			   m);
		return -ENOMEM;
	}
	r->rs->last_bytes = PAGE_BYTES - (k - 1) * r->unit_bytes;
	rc = fill_sets(r->rs, k, m);
	if (rc)
		reason_set(why, "%u+%u shares: a set of rows has no inverse", k,
			   m);
	else
		rc = redundancy_prove(r, why);
	if (rc)
		redundancy_destroy(r);
	return rc;
}
