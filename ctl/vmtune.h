/* Kernel settings (sysctl vm.*) that swapping over a network wants.
 *
 * vm.min_free_kbytes: what the kernel keeps free for those who cannot wait.
 * Sending a page away takes memory (a network buffer, for a start), and it is
 * wanted just when there is none.  Such allocations may use half and more of
 * this reserve (atomic ones, and those of real-time tasks), so it has to hold
 * the traffic of all lanes.
 *
 * vm.compact_unevictable_allowed: whether compaction may move locked pages.  A
 * thread that touches one meanwhile faults and waits for reclaim's sake, which
 * is what locking was to prevent; real-time kernels have 0 as well. */
#ifndef RSWAPCTL_VMTUNE_H
#define RSWAPCTL_VMTUNE_H

#include <stdint.h>

#include "error.h"

/* What swapping over a network should have on this machine: a twentieth of its
 * memory, and no more than 64 MiB. */
uint64_t reserve_wanted_kib(void);

/* The setting now; 0 where it can't be read. */
uint64_t reserve_now_kib(void);

/* 0 or a negative errno. */
int reserve_set_kib(uint64_t kib, struct error *why);

/* Has compaction leave locked pages where they are.  0 or a negative errno. */
int compaction_spare_locked(struct error *why);

#endif
