#include "other_isal.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <isa-l/erasure_code.h>

/* What a caller gives for each coefficient, and what is taken of it. */
#define ROOM_BYTES  32u
#define TABLE_BYTES 8u

unsigned other_isal_breaks;
unsigned other_isal_calls;

void __wrap_ec_init_tables(int k, int indexes, unsigned char *a,
			   unsigned char *tables);
void __wrap_ec_encode_data(int len, int k, int indexes, unsigned char *tables,
			   unsigned char **from, unsigned char **to);

/* Behind the tables of one call: what the call was.  There is room. */
struct mark {
	char text[8];
	int32_t k, indexes;
};

static struct mark make_mark(int k, int indexes)
{
	struct mark mark = { .text = "tables", .k = k, .indexes = indexes };

	return mark;
}

static uint8_t *mark_of(uint8_t *tables, int k, int indexes)
{
	return tables + TABLE_BYTES * (unsigned)(k * indexes);
}

/* Of a coefficient: its products with 1, 2, 4 ... 128. */
void __wrap_ec_init_tables(int k, int indexes, unsigned char *a,
			   unsigned char *tables)
{
	struct mark mark = make_mark(k, indexes);

	memset(tables, 0xee, ROOM_BYTES * (unsigned)(k * indexes));
	for (int i = 0; i < k * indexes; i++) {
		for (unsigned bit = 0; bit < TABLE_BYTES; bit++)
			tables[(unsigned)i * TABLE_BYTES + bit] =
				gf_mul(a[i], (unsigned char)(1u << bit));
	}
	memcpy(mark_of(tables, k, indexes), &mark, sizeof mark);
	if (++other_isal_calls == other_isal_breaks)
		tables[TABLE_BYTES * (unsigned)(k * indexes) - 1] ^= 0x40;
}

static uint8_t product(const uint8_t *table, uint8_t byte)
{
	uint8_t sum = 0;

	for (unsigned bit = 0; bit < TABLE_BYTES; bit++)
		sum ^= byte & 1u << bit ? table[bit] : 0;
	return sum;
}

static void encode_index(int len, int k, const uint8_t *tables,
			 unsigned char *const *from, uint8_t *to)
{
	for (int at = 0; at < len; at++) {
		uint8_t sum = 0;

		for (int j = 0; j < k; j++)
			sum ^= product(tables + TABLE_BYTES * (unsigned)j,
				       from[j][at]);
		to[at] = sum;
	}
}

/* With tables of another call, or a shard of them, what comes is wrong. */
void __wrap_ec_encode_data(int len, int k, int indexes, unsigned char *tables,
			   unsigned char **from, unsigned char **to)
{
	struct mark mark = make_mark(k, indexes);

	if (memcmp(mark_of(tables, k, indexes), &mark, sizeof mark) != 0) {
		fprintf(stderr, "%d rows of %d: not this call's tables\n",
			indexes, k);
		abort();
	}
	for (int index = 0; index < indexes; index++)
		encode_index(len, k,
			     tables + TABLE_BYTES * (unsigned)(index * k), from,
			     to[index]);
}
