/* Copies: the chunk of every shard index is the stored unit itself. */
#include "redundancy.h"

#include <errno.h>
#include <string.h>

static void copies_destroy(struct redundancy *r)
{
	(void)r;
}

static void copies_decode(const struct redundancy *r, const uint32_t *indexes,
			  const uint8_t *const *shares, uint32_t n,
			  uint8_t *units)
{
	(void)indexes;
	if (units != shares[0])
		memcpy(units, shares[0], (size_t)n * r->unit_bytes);
}

static const struct redundancy_ops copies_ops = {
	.destroy = copies_destroy,
	.decode = copies_decode,
};

int redundancy_create_copies(struct redundancy *r, uint32_t unit_bytes,
			     uint32_t n, struct error *why)
{
	if (n < 1 || n > REDUNDANCY_MAX_COPIES) {
		error_set(why, "%u copies of a page: allowed are 1 to %u", n,
			  REDUNDANCY_MAX_COPIES);
		return -EINVAL;
	}
	*r = (struct redundancy){
		.ops = &copies_ops,
		.shards = n,
		.need = 1,
		.unit_bytes = unit_bytes,
		.chunk_bytes = unit_bytes,
	};
	return 0;
}
