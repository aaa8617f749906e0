/* The file transport: "slabs" in an open file or block device of this machine,
 * moved by pread and pwrite with O_DIRECT.  A remote_slab's address is the byte
 * in the file at which the slab begins.
 *
 * A transfer's address, offset and size have to be whole blocks
 * (FILE_BLOCK_BYTES); other transfers are refused (-EREMOTEIO).
 *
 * There is no server to connect to.  The part that opened the file also makes
 * the group of links, and link_connect takes the group from its target.  It
 * ignores the rest of the target.
 */
#ifndef RSWAP_FILE_H
#define RSWAP_FILE_H

#include "transport.h"

#define FILE_BLOCK_BYTES 4096u

/* The group of the links to FD.  FD is open with O_DIRECT, and stays the
 * caller's.  NULL without memory. */
struct link_group *file_group_create(int fd);
/* All links of the group are closed. */
void file_group_destroy(struct link_group *group);

/* The errno of the transfer that failed last, 0 before a transfer has failed:
 * the disk's error behind a status of -EREMOTEIO.  Any thread. */
int file_group_error(const struct link_group *group);

#endif
