/* What libibverbs is told by the environment, as it has no call for it. */
#ifndef RSWAP_RDMA_ENV_H
#define RSWAP_RDMA_ENV_H

#include <stdlib.h>

/* A device that was removed or reset has nothing any more of what was made on
 * it, and the kernel answers EIO to each call that destroys one.  With this
 * setting libibverbs takes that for success and frees its own part; else queue
 * pairs, and the memory that they might still write to, would be kept for good
 * (rdma-core, Documentation/libibverbs.md).  To be called before the first call
 * of libibverbs or librdmacm, which read it once, by a thread beside which no
 * other reads the environment. */
static inline void rdma_env_set(void)
{
	setenv("RDMAV_ALLOW_DISASSOC_DESTROY", "1", 1);
}

#endif
