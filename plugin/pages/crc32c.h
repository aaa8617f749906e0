/* CRC-32C (Castagnoli, RFC 3720 12.1) in two ways with one result: by ISA-L,
 * and by tables.  ISA-L uses the processor's CRC32 instruction and takes 0.1 to
 * 0.4 us a page.  Where the instruction is emulated, ISA-L takes five times as
 * long as the tables (27 us against 6 under qemu's TCG).  Where the processor
 * has no such instruction, ISA-L goes byte by byte (9 us against 2).  So the
 * faster way is measured, not assumed, as the kernel does for RAID-6
 * (lib/raid6/algos.c). */
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

/* Times each way (well under 1 ms for all), fills in how long each way took for
 * a page, and has crc32c use the fastest way.  Any thread, any number of times:
 * the result of crc32c is the same before, meanwhile and after. */
void crc32c_choose(uint64_t took_ns[CRC32C_WAYS]);

/* The way that crc32c uses: the first way until another is chosen. */
const struct crc32c_way *crc32c_chosen(void);

static inline uint32_t crc32c(const void *bytes, size_t n)
{
	return crc32c_chosen()->sum(bytes, n);
}

#endif
