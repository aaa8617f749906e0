/* How the pages of the device lie in slabs.  A slab has room for so many
 * chunks, and a page has one chunk in each shard of its slab.
 *
 * A slab stands for a span of the device.  A span is as long as the slab would
 * be if chunks were no longer than their part of a page.  So a slab of 2 MiB
 * stands for a cluster of the kernel's swap, which is trimmed as a whole, and
 * is freed with that cluster (docs/architecture.md).  Where chunks are longer,
 * as those of sealed pages, the last pages of a span do not fit into its slab.
 * They are its spill.  The spills of a group of spans share one more slab:
 *
 *   pages of the device   0 ...  509, 510, 511   512 ... 1021, 1022, 1023
 *   slab                  0            |         1               |
 *                                      +--> slab S <-------------+
 *
 * Sealed pages in slabs of 2 MiB: 510 of 512 pages are in the span's slab, and
 * the spills of 255 spans in another.  The slabs for spills come after all
 * others.
 *
 * Pure functions; any thread.
 */
#ifndef RSWAP_GEOMETRY_H
#define RSWAP_GEOMETRY_H

#include <stdint.h>

struct slab_geometry {
	uint64_t slab_bytes;
	uint32_t chunk_bytes;
	uint32_t slab_pages; /* chunks that fit into a slab */
	uint64_t pages;	     /* of the device */
	uint64_t spans;
	uint32_t span_pages;
	uint32_t spill_pages; /* of a span; 0: there are no spills */
	uint32_t group_spans; /* whose spills share a slab */
};

/* No page has this number. */
#define GEOMETRY_NO_PAGE UINT64_MAX

/* For PAGES pages in slabs of SLAB_BYTES, of whose chunks of CHUNK_BYTES any
 * NEED give a page back. */
struct slab_geometry slab_geometry(uint64_t pages, uint64_t slab_bytes,
				   uint32_t chunk_bytes, uint32_t need);

/* How many slabs there are. */
uint64_t geometry_slabs(const struct slab_geometry *g);

static inline uint64_t geometry_slab(const struct slab_geometry *g,
				     uint64_t page)
{
	uint64_t span = page / g->span_pages;

	return page % g->span_pages < g->slab_pages
		       ? span
		       : g->spans + span / g->group_spans;
}

/* Which chunk of its slab PAGE is. */
static inline uint32_t geometry_chunk(const struct slab_geometry *g,
				      uint64_t page)
{
	uint32_t in_span = (uint32_t)(page % g->span_pages);

	return in_span < g->slab_pages
		       ? in_span
		       : (uint32_t)(page / g->span_pages % g->group_spans) *
					 g->spill_pages +
				 (in_span - g->slab_pages);
}

/* How many pages from PAGE on have chunks one after the other in PAGE's slab.
 * The device may end before them. */
static inline uint32_t geometry_pages_from(const struct slab_geometry *g,
					   uint64_t page)
{
	uint32_t in_span = (uint32_t)(page % g->span_pages);

	return (in_span < g->slab_pages ? g->slab_pages : g->span_pages) -
	       in_span;
}

/* The page that is CHUNK of SLAB, or GEOMETRY_NO_PAGE where that chunk is not
 * used. */
uint64_t geometry_page(const struct slab_geometry *g, uint64_t slab,
		       uint32_t chunk);

#endif
