/* CRC-32C (Castagnoli, RFC 3720 12.1) in two ways with one result.  ISA-L's
 * uses the processor's CRC32 instruction and takes 0.1 to 0.4 us a page.  Where
 * that instruction is emulated a page takes five times as long as with tables
 * (27 us and 6 under qemu's TCG), and where there is none ISA-L goes byte by
 * byte (9 us and 2).  So the way is measured, not assumed, as the kernel does
 * for RAID-6 (lib/raid6/algos.c). */
#ifndef RSWAP_CRC32C_H
#define RSWAP_CRC32C_H

#include <stddef.h>
#include <stdint.h>

struct crc32c_way {
	const char *name;
	uint32_t (*sum)(const void *bytes, size_t n); /* any thread; pure */
};

#define CRC32C_WAYS 2
extern const struct crc32c_way crc32c_ways[CRC32C_WAYS];

/* Times each way (well under 1 ms for all), tells how long it took for a page,
 * and makes the fastest the one that crc32c takes.  Any thread, any number of
 * times: the result of crc32c is the same before, meanwhile and after. */
void crc32c_choose(uint64_t took_ns[CRC32C_WAYS]);

/* The way that crc32c takes: the first one until another was chosen. */
const struct crc32c_way *crc32c_chosen(void);

static inline uint32_t crc32c(const void *bytes, size_t n)
{
	return crc32c_chosen()->sum(bytes, n);
}

#endif
