/* The block device that this process serves, by its path.  A front end of ublk
 * makes its device and knows it.  To one of nbd only a client can tell: the
 * kernel's nbd hands sockets to a device, and says nothing to the other end. */
#ifndef RSWAP_BLOCKDEV_H
#define RSWAP_BLOCKDEV_H

#include <stdbool.h>

struct blockdev_name {
	char path[32]; /* "/dev/nbd0"; empty: not known */
};

/* PATH is "/dev/" and letters and digits, as the kernel names disks.  False,
 * and nothing changes, if it is not.  Any thread. */
bool blockdev_tell(const char *path);
/* Any thread. */
struct blockdev_name blockdev_name(void);

#endif
