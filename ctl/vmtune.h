/* Kernel settings (sysctl vm.*) for swapping over a network.  They have these
 * values as long as a device is attached.  The first attach sets them, and the
 * last detach puts back what was there.  docs/tuning.md has the figures.
 *
 * vm.min_free_kbytes: the memory that the kernel keeps free for allocations
 * that cannot wait.  Sending a page takes memory, such as a network buffer,
 * just when there is none.  Atomic allocations and those of real-time tasks may
 * use half and more of this reserve, so it has to hold the traffic of all
 * lanes.
 *
 * vm.compact_unevictable_allowed: whether compaction may move locked pages.  A
 * thread that touches a page meanwhile faults and waits, which locking is to
 * prevent.  Real-time kernels have 0 as well.
 *
 * Only where an administrator asks for them (doctor --tune --apply), because
 * they concern all memory and all swap:
 *
 * vm.watermark_scale_factor: how early kswapd begins to reclaim, before a
 * program that faults has to.
 *
 * vm.page-cluster: how many pages a fault reads.  The kernel's own 3 is right
 * for a device behind a network; zram-generator's users often set 0. */
#ifndef RSWAPCTL_VMTUNE_H
#define RSWAPCTL_VMTUNE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* The reserve for swapping over a network on this machine: a twentieth of its
 * memory, and 64 MiB at most. */
uint64_t reserve_wanted_kib(void);

/* The setting now; 0 where it can't be read. */
uint64_t reserve_now_kib(void);

enum vmtune_scope {
	VMTUNE_ATTACH, /* what attach sets */
	VMTUNE_ALL,
};

struct vmtune {
	const char *name; /* "min_free_kbytes" */
	enum vmtune_scope scope;
	bool exists; /* in this kernel */
	bool fits;   /* NOW is as good as WANTED */
	uint64_t now, wanted;
};

/* Setting number I as it is now.  False: there are no more. */
bool vmtune_look(size_t i, struct vmtune *tune);

/* Sets what is not yet as it should be, and prints a line for each.  Refuses
 * where no device has a state directory: then no detach would put the settings
 * back.  0 or -1, as where another process keeps the lock of
 * the settings for ten seconds. */
int vmtune_set(enum vmtune_scope scope, struct error *why);

/* Puts back what vmtune_set changed, if no state directory is left.  If another
 * process keeps the lock of the settings for ten seconds, says so; the record
 * stays, for the next last detach. */
void vmtune_put_back(void);

#endif
