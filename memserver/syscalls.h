/* The system calls that this process makes while it serves; the kernel refuses
 * it all others (seccomp). */
#ifndef RSWAP_MEMSERVER_SYSCALLS_H
#define RSWAP_MEMSERVER_SYSCALLS_H

#include <stdbool.h>

#include "error.h"

/* From here on, and for all threads: a call that is not in the list, or has
 * arguments that are not allowed, fails with ENOSYS, as on a kernel that does
 * not have it.  The kernel's log names each of them.
 *
 * No call ends the process: pages of other machines would go with it, because
 * of a call that a newer library makes.
 *
 * CONNECTS: the process also looks names up, and connects to other machines.
 *
 * 0, or a negative errno and WHY: then there is no filter. */
int syscalls_restrict(bool connects, struct error *why);

#endif
