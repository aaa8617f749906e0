#include "geometry.h"

#include "pagemap.h"

static uint64_t divide_up(uint64_t n, uint64_t by)
{
	return (n + by - 1) / by;
}

struct slab_geometry slab_geometry(uint64_t pages, uint64_t slab_bytes,
				   uint32_t chunk_bytes, uint32_t need)
{
	uint32_t fit = (uint32_t)(slab_bytes / chunk_bytes);
	uint64_t span = need * slab_bytes / PAGE_BYTES;
	struct slab_geometry g = { .slab_bytes = slab_bytes,
				   .chunk_bytes = chunk_bytes,
				   .slab_pages = fit,
				   .pages = pages };

	/* A slab has room for the spill of one span at least. */
	if (span > 2 * (uint64_t)fit)
		span = 2 * (uint64_t)fit;
	g.span_pages = span > fit ? (uint32_t)span : fit;
	g.spans = divide_up(pages, g.span_pages);
	g.spill_pages = g.span_pages - fit;
	g.group_spans = g.spill_pages ? fit / g.spill_pages : 1;
	return g;
}

uint64_t geometry_slabs(const struct slab_geometry *g)
{
	uint64_t spilling = g->pages / g->span_pages +
			    (g->pages % g->span_pages > g->slab_pages);

	return g->spans +
	       (g->spill_pages ? divide_up(spilling, g->group_spans) : 0);
}

uint64_t geometry_page(const struct slab_geometry *g, uint64_t slab,
		       uint32_t chunk)
{
	uint64_t span = slab, page;

	if (slab >= g->spans) {
		if (chunk >= g->group_spans * g->spill_pages)
			return GEOMETRY_NO_PAGE;
		span = (slab - g->spans) * g->group_spans +
		       chunk / g->spill_pages;
		chunk = g->slab_pages + chunk % g->spill_pages;
	}
	page = span * g->span_pages + chunk;
	return page < g->pages ? page : GEOMETRY_NO_PAGE;
}
