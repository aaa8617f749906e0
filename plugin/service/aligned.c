#include "aligned.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "engine.h"
#include "log.h"

static atomic_bool told;

bool aligned(const char *what, uint64_t count, uint64_t offset)
{
	if (((count | offset) & (PAGE_BYTES - 1)) == 0)
		return true;
	if (!atomic_exchange(&told, true))
		log_error("%s of %" PRIu64 " bytes at %" PRIu64
			  " refused: requests must be aligned to 4096 bytes; "
			  "use nbd-client -block-size 4096, or nbdkit "
			  "--filter=blocksize minblock=4096",
			  what, count, offset);
	return false;
}
