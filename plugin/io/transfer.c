#include "transfer.h"

#include <errno.h>
#include <string.h>

/* With one shard and a direct codec no scratch is needed: the transfers use the
 * caller's memory.  Whole pages, as transports register each lane's. */
uint64_t lane_scratch_bytes(const struct engine *engine)
{
	const struct redundancy *r = &engine->redundancy;
	uint64_t bytes = codec_scratch_bytes(&engine->codec, LANE_PAGES);

	if (redundancy_can_spare(r))
		bytes += lane_channel_bytes(engine);
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

uint64_t lane_channel_bytes(const struct engine *engine)
{
	const struct redundancy *r = &engine->redundancy;

	return (uint64_t)(r->shards + 1) * LANE_PAGES * r->chunk_bytes;
}

uint64_t lane_outside_bytes(const struct engine *engine)
{
	return engine->codec.direct ? lane_channel_bytes(engine) : 0;
}

const char *transfer_failure_text(int status)
{
	switch (status) {
	case -ETIMEDOUT:
		return "no answer to a request within its deadline";
	case -EREMOTEIO:
		return "a request was refused";
	default:
		return strerrordesc_np(-status);
	}
}
