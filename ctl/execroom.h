/* Whether the kernel can start a program with a lot of static memory: nbdkit
 * has 192 MiB of static buffers. execve charges all of it to the kernel's
 * account of memory, although it is untouched.  If the account has less, the
 * program gets SIGSEGV before its first instruction. */
#ifndef RSWAPCTL_EXECROOM_H
#define RSWAPCTL_EXECROOM_H

#include <stdbool.h>
#include <stdint.h>

struct execroom {
	uint64_t needs_bytes; /* static memory that is no part of the file */
	uint64_t has_bytes;   /* UINT64_MAX: no limit */
	const char *limit;    /* what HAS_BYTES is: "memory and swap" */
	const char *remedy;
};

/* PATH: an ELF program of this machine.  False where it can't be read. */
bool execroom_read(const char *path, struct execroom *room);

static inline bool execroom_fits(const struct execroom *room)
{
	return room->needs_bytes <= room->has_bytes;
}

#endif
