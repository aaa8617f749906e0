/* The file transport: "slabs" in an open file or block device of this machine,
 * moved by pread and pwrite with O_DIRECT.  A remote_slab's address is the byte
 * in the file at which it begins.
 *
 * Everything that moves has to be whole blocks (FILE_BLOCK_BYTES): address,
 * offset and size; other transfers are refused (-EREMOTEIO).
 *
 * There is no server to connect to: who has opened the file makes the group of
 * links itself, and link_connect wants it in its target; nothing else in there
 * counts.  The transport is not on the wire and not in transports[].
 */
#ifndef RSWAP_FILE_H
#define RSWAP_FILE_H

#include "transport.h"

#define FILE_BLOCK_BYTES 4096u

extern const struct transport_ops transport_file;

/* The group of the links to FD, which is open with O_DIRECT, and stays the
 * caller's.  NULL without memory. */
struct link_group *file_group_create(int fd);
/* All its links are closed. */
void file_group_destroy(struct link_group *group);

/* The errno of the transfer that failed last, 0 before one has: what the disk
 * said where a status is -EREMOTEIO.  Any thread. */
int file_group_error(const struct link_group *group);

#endif
