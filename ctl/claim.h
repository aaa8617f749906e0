/* Opening a block device exclusively. */
#ifndef RSWAPCTL_CLAIM_H
#define RSWAPCTL_CLAIM_H

/* Opens the device NAME (without "/dev/") exclusively.  As long as the
 * descriptor is open, the kernel refuses swapon, a mount, device mapper, and
 * every other exclusive open.  The descriptor; -EBUSY if another program has
 * the device exclusively; or another -errno. */
int claim_device(const char *name);

#endif
