/* Memory of whole pages that is mapped, populated and zeroed before it is used.
 * It has huge pages where they fit and the kernel has them: then a terabyte's
 * tables come up in a fraction of the time, and cost fewer TLB misses later.
 * At start only; any thread. */
#ifndef RSWAP_MEMORY_H
#define RSWAP_MEMORY_H

#include <stdint.h>

#include "error.h"

/* The memory is the caller's until pages_unmap.  NULL with errno. */
void *pages_map(uint64_t bytes);
/* The same for a table that WHY calls WHAT when there is no memory for it. */
void *pages_map_table(const char *what, uint64_t bytes, struct error *why);
/* P may be NULL. */
void pages_unmap(void *p, uint64_t bytes);

/* N such areas of BYTES each, below each of them a page that must not be
 * touched.  NULL with errno. */
void *pages_map_guarded(uint32_t n, uint64_t bytes);
/* Area I of them. */
void *pages_guarded(void *p, uint32_t i, uint64_t bytes);
void pages_unmap_guarded(void *p, uint32_t n, uint64_t bytes);

#endif
