#include "crc32c.h"

#include <endian.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <isa-l/crc.h>

#include "clock.h"

/* ISA-L leaves the inversions to its caller, and takes what it only reads
 * without const. */
static uint32_t by_isal(const void *bytes, size_t n)
{
	return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)n,
			    UINT32_MAX);
}

/* --- by tables, eight bytes at a time: "slicing-by-8" (M. E. Kounavis and
 * F. L. Berry, A Systematic Approach to Building High Performance,
 * Software-based, CRC Generators, ISCC 2005) --- */

#define SLICES		     8
#define POLYNOMIAL_REFLECTED 0x82f63b78u

/* table[k][b]: the remainder of byte b with k bytes of zeros behind it */
static uint32_t table[SLICES][256];

static void fill_table(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t sum = b;

		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? POLYNOMIAL_REFLECTED : 0);
		table[0][b] = sum;
	}
	for (int k = 1; k < SLICES; k++) {
		for (uint32_t b = 0; b < 256; b++) {
			uint32_t before = table[k - 1][b];

			table[k][b] = before >> 8 ^ table[0][before & 0xff];
		}
	}
}

static uint32_t by_tables(const void *bytes, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const uint8_t *p = bytes;
	uint32_t sum = UINT32_MAX;

	pthread_once(&once, fill_table);
	for (; n >= SLICES; n -= SLICES, p += SLICES) {
		uint64_t v;

		memcpy(&v, p, sizeof v);
		v = le64toh(v) ^ sum;
		sum = table[7][v & 0xff] ^ table[6][v >> 8 & 0xff] ^
		      table[5][v >> 16 & 0xff] ^ table[4][v >> 24 & 0xff] ^
		      table[3][v >> 32 & 0xff] ^ table[2][v >> 40 & 0xff] ^
		      table[1][v >> 48 & 0xff] ^ table[0][v >> 56];
	}
	for (; n > 0; n--, p++)
		sum = sum >> 8 ^ table[0][(sum ^ *p) & 0xff];
	return ~sum;
}

/* --- the choice --- */

const struct crc32c_way crc32c_ways[CRC32C_WAYS] = {
	{ .name = "ISA-L", .sum = by_isal },
	{ .name = "tables", .sum = by_tables },
};

/* Relaxed: a thread that sees an old value computes the same sums. */
static const struct crc32c_way *_Atomic chosen = &crc32c_ways[0];

const struct crc32c_way *crc32c_chosen(void)
{
	return atomic_load_explicit(&chosen, memory_order_relaxed);
}

/* The shortest of several times: others may have the processor meanwhile. */
static uint64_t way_ns(const struct crc32c_way *way)
{
	static const uint8_t page[4096] = { 1 };
	uint64_t best_ns = UINT64_MAX;

	for (int i = 0; i < 8; i++) {
		uint64_t from_ns = clock_now_ns(), ns;
		volatile uint32_t sum = way->sum(page, sizeof page);

		(void)sum;
		ns = clock_now_ns() - from_ns;
		if (ns < best_ns)
			best_ns = ns;
	}
	return best_ns;
}

void crc32c_choose(uint64_t took_ns[CRC32C_WAYS])
{
	int best = 0;

	for (int i = 0; i < CRC32C_WAYS; i++) {
		took_ns[i] = way_ns(&crc32c_ways[i]);
		if (took_ns[i] < took_ns[best])
			best = i;
	}
	atomic_store_explicit(&chosen, &crc32c_ways[best],
			      memory_order_relaxed);
}
