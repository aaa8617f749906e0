/* systemd makes a unit of each swap device, which it stops when the machine
 * goes down: by swapoff, for which memory may have no room.  A drop-in file in
 * /run keeps that unit of an attached device out of the machine's end.  swapoff
 * and systemctl stop work as before.
 *
 * Without effect where systemd does not run. */
#ifndef RSWAPCTL_SWAPUNIT_H
#define RSWAPCTL_SWAPUNIT_H

#include "error.h"

/* Makes the drop-in of DEVICE, "/dev/nbd0", before swap is on.  The drop-in
 * tells the NAME that the device is attached by.  0 or a negative errno. */
int swapunit_keep_on(const char *device, const char *name, struct error *why);

/* Removes the drop-in, if there is one and it tells NAME: another attach may
 * have the device meanwhile. */
void swapunit_forget(const char *device, const char *name);

#endif
