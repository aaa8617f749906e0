/* Memory of whole pages that is there before it is used: mapped, populated and
 * zeroed.  Huge pages where they fit and the kernel has them: a terabyte's
 * tables come up in a fraction of the time, and cost fewer TLB misses later.
 * At start only; any thread. */
#ifndef RSWAP_PAGES_H
#define RSWAP_PAGES_H

#include <stdint.h>

/* The caller's until pages_unmap.  NULL with errno. */
void *pages_map(uint64_t bytes);
/* NULL is allowed. */
void pages_unmap(void *p, uint64_t bytes);

#endif
