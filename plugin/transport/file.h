/* The file transport: "slabs" in an open file or block device of this machine,
 * moved by pread and pwrite with O_DIRECT.  A remote_slab's address is the byte
 * in the file at which the slab begins.
 *
 * Direct I/O wants whole blocks (FILE_BLOCK_BYTES), and chunks need not be
 * whole blocks.  So each chunk has blocks of its own in the file: chunk i of a
 * slab begins at i * file_room_bytes from the slab's address.  No block holds
 * bytes of two chunks, so no write has to read first, or to wait for another
 * write.
 *
 * A transfer's offset and size have to be whole chunks, and its address whole
 * blocks; other transfers are refused (-EREMOTEIO).
 *
 * There is no server to connect to.  The part that opened the file also makes
 * the group of links, and link_connect takes the group from its target.  It
 * ignores the rest of the target.
 */
#ifndef RSWAP_FILE_H
#define RSWAP_FILE_H

#include "transport.h"

#define FILE_BLOCK_BYTES 4096u

/* How many bytes of the file a chunk takes. */
static inline uint32_t file_room_bytes(uint32_t chunk_bytes)
{
	return (chunk_bytes + FILE_BLOCK_BYTES - 1) / FILE_BLOCK_BYTES *
	       FILE_BLOCK_BYTES;
}

/* The group of the links to FD, which holds chunks of CHUNK_BYTES.  FD is open
 * with O_DIRECT, and stays the caller's.  NULL without memory. */
struct link_group *file_group_create(int fd, uint32_t chunk_bytes);
/* All links of the group are closed. */
void file_group_destroy(struct link_group *group);

/* The errno of the transfer that failed last, 0 before a transfer has failed:
 * the disk's error behind a status of -EREMOTEIO.  Any thread. */
int file_group_error(const struct link_group *group);

#endif
