/* Kernel settings (sysctl vm.*) for swapping over a network.
 *
 * vm.min_free_kbytes: the memory that the kernel keeps free for allocations
 * that cannot wait.  Sending a page takes memory, such as a network buffer,
 * just when there is none.  Atomic allocations and those of real-time tasks may
 * use half and more of this reserve, so it has to hold the traffic of all
 * lanes.
 *
 * vm.compact_unevictable_allowed: whether compaction may move locked pages.  A
 * thread that touches a page meanwhile faults and waits, which locking is to
 * prevent.  Real-time kernels have 0 as well. */
#ifndef RSWAPCTL_VMTUNE_H
#define RSWAPCTL_VMTUNE_H

#include <stdint.h>

#include "error.h"

/* The reserve for swapping over a network on this machine: a twentieth of its
 * memory, and 64 MiB at most. */
uint64_t reserve_wanted_kib(void);

/* The setting now; 0 where it can't be read. */
uint64_t reserve_now_kib(void);

/* 0 or a negative errno. */
int reserve_set_kib(uint64_t kib, struct error *why);

/* Keeps compaction from moving locked pages.  0 or a negative errno. */
int compaction_spare_locked(struct error *why);

#endif
