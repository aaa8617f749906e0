#include "generation.h"

#include <errno.h>

#include "transport/memory.h"

int generations_create(struct generations *g, uint64_t pages, struct error *why)
{
	size_t bytes = pages * sizeof *g->of;
	void *of = pages_map_table("generations", bytes, why);

	if (!of)
		return -errno;
	*g = (struct generations){ .pages = pages, .of = of };
	return 0;
}

void generations_destroy(struct generations *g)
{
	pages_unmap((void *)g->of, g->pages * sizeof *g->of);
	*g = (struct generations){ 0 };
}
