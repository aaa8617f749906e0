#include "transfer.h"

#include <errno.h>
#include <string.h>

/* With one shard a page's bytes are where the caller has them. */
uint64_t lane_scratch_bytes(const struct redundancy *r)
{
	return !redundancy_can_spare(r) ? 0
					: (uint64_t)(r->shards + 1) *
						  LANE_PAGES * r->chunk_bytes;
}

uint64_t lane_channel_bytes(const struct redundancy *r)
{
	return (uint64_t)(r->shards + 1) * LANE_PAGES * r->chunk_bytes;
}

const char *transfer_failure_text(int status)
{
	switch (status) {
	case -ETIMEDOUT:
		return "no answer to a request within its deadline";
	case -EREMOTEIO:
		return "it refused a request";
	default:
		return strerrordesc_np(-status);
	}
}
