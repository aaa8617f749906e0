#include "shares.h"

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t part(uint64_t n, uint64_t of, uint64_t whole)
{
	unsigned __int128 found = (unsigned __int128)n * of / whole;

	return found < UINT64_MAX ? (uint64_t)found : UINT64_MAX;
}

uint64_t shares_left(uint64_t memory_bytes, uint32_t overcommit_permille,
		     uint64_t unreserved_bytes, uint64_t reserved_bytes,
		     uint64_t slab_bytes)
{
	uint64_t may = part(memory_bytes, overcommit_permille, 1000);

	return less(less(may, unreserved_bytes), reserved_bytes) / slab_bytes;
}

uint64_t shares_room(const uint64_t *left, unsigned n, uint64_t most)
{
	uint64_t room = 0;

	for (unsigned i = 0; i < n; i++)
		room += smaller(left[i], most);
	return room;
}

void shares_plan(const uint64_t *left, unsigned n, uint64_t most,
		 uint64_t wanted, uint64_t *shares)
{
	uint64_t room = shares_room(left, n, most), given = 0;

	for (unsigned i = 0; i < n; i++) {
		shares[i] =
			room ? part(wanted, smaller(left[i], most), room) : 0;
		given += shares[i];
	}
	/* What rounding left over is less than one slab for each. */
	for (unsigned i = 0; i < n && given < wanted; i++) {
		if (shares[i] < smaller(left[i], most)) {
			shares[i]++;
			given++;
		}
	}
}
