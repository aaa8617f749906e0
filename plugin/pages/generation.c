#include "generation.h"

#include <errno.h>
#include <string.h>

#include "transport/memory.h"

int generations_create(struct generations *g, uint64_t pages, struct error *why)
{
	size_t bytes = pages * sizeof *g->of;
	void *of = pages_map(bytes);

	if (!of) {
		int rc = -errno;

		error_set(why, "generations of %zu bytes: %s", bytes,
			  strerror(-rc));
		return rc;
	}
	*g = (struct generations){ .pages = pages, .of = of };
	return 0;
}

void generations_destroy(struct generations *g)
{
	pages_unmap((void *)g->of, g->pages * sizeof *g->of);
	*g = (struct generations){ 0 };
}
