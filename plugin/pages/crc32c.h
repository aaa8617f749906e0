/* CRC-32C (Castagnoli, RFC 3720 12.1) by ISA-L, which chooses the code for the
 * processor: 0.1 to 0.4 us a page with the CRC32 instruction, 9 us without. */
#ifndef RSWAP_CRC32C_H
#define RSWAP_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#include <isa-l/crc.h>

/* The sum of N bytes, at most INT_MAX.  Any thread; pure.  ISA-L leaves the
 * inversions to the caller, and its parameter lacks the const. */
static inline uint32_t crc32c(const void *bytes, size_t n)
{
	return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)n,
			    UINT32_MAX);
}

#endif
