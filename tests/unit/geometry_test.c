#include "pages/geometry.h"

#include "pages/redundancy/redundancy.h"
#include "pages/seal.h"
#include "support.h"

#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)

/* Every page has a chunk of its own, and is found again from there. */
static void assert_bijective(const struct slab_geometry *g)
{
	uint64_t slabs = geometry_slabs(g), used = 0;
	uint8_t *taken = calloc(slabs, g->slab_pages);

	assert_true((uint64_t)g->slab_pages * g->chunk_bytes <= g->slab_bytes);
	for (uint64_t page = 0; page < g->pages; page++) {
		uint64_t slab = geometry_slab(g, page);
		uint32_t chunk = geometry_chunk(g, page);

		assert_true(slab < slabs);
		assert_true(chunk < g->slab_pages);
		assert_int_equal(taken[slab * g->slab_pages + chunk]++, 0);
		assert_int_equal(geometry_page(g, slab, chunk), page);
	}
	for (uint64_t slab = 0; slab < slabs; slab++) {
		for (uint32_t chunk = 0; chunk < g->slab_pages; chunk++)
			used += geometry_page(g, slab, chunk) !=
				GEOMETRY_NO_PAGE;
	}
	assert_int_equal(used, g->pages);
	free(taken);
}

static void assert_runs_are_whole(const struct slab_geometry *g)
{
	for (uint64_t page = 0; page < g->pages;) {
		uint32_t n = geometry_pages_from(g, page);

		assert_true(n > 0);
		for (uint32_t i = 0; i < n && page + i < g->pages; i++) {
			assert_int_equal(geometry_slab(g, page + i),
					 geometry_slab(g, page));
			assert_int_equal(geometry_chunk(g, page + i),
					 geometry_chunk(g, page) + i);
			assert_int_equal(geometry_pages_from(g, page + i),
					 n - i);
		}
		page += n;
	}
}

static void each_page_has_a_chunk(void **state)
{
	static const uint32_t units[] = { PAGE_BYTES, SEAL_UNIT_BYTES,
					  PAGE_BYTES + 64, 2 * PAGE_BYTES,
					  3 * PAGE_BYTES };
	static const uint64_t sizes[] = { 1,	510,  511,    512,   513,
					  1000, 4095, 131072, 261121 };

	(void)state;
	for (size_t u = 0; u < COUNT(units); u++) {
		for (uint32_t k = 1; k <= REDUNDANCY_MAX_DATA; k++) {
			uint32_t chunk =
				k == 1 ? units[u]
				       : redundancy_rs_chunk_bytes(units[u], k);

			for (size_t s = 0; s < COUNT(sizes); s++) {
				struct slab_geometry g = slab_geometry(
					sizes[s], 2 * MIB, chunk, k);

				assert_bijective(&g);
				assert_runs_are_whole(&g);
			}
		}
	}
}

static void pages_that_fit_have_no_spill(void **state)
{
	struct slab_geometry g = slab_geometry(10000, 2 * MIB, 4096, 1);

	(void)state;
	assert_int_equal(g.span_pages, 512);
	assert_int_equal(g.spill_pages, 0);
	assert_int_equal(geometry_slabs(&g), 20);
	assert_int_equal(geometry_slab(&g, 511), 0);
	assert_int_equal(geometry_slab(&g, 512), 1);
}

/* A cluster of the kernel's swap is in a slab of its own, but for two pages. */
static void sealed_pages_keep_to_clusters(void **state)
{
	struct slab_geometry g =
		slab_geometry(256 * 512, 2 * MIB, SEAL_UNIT_BYTES, 1);

	(void)state;
	assert_int_equal(g.slab_pages, 510);
	assert_int_equal(g.span_pages, 512);
	assert_int_equal(g.group_spans, 255);
	for (uint64_t cluster = 0; cluster < 256; cluster++) {
		uint64_t page = cluster * 512;

		assert_int_equal(geometry_slab(&g, page), cluster);
		assert_int_equal(geometry_slab(&g, page + 509), cluster);
		assert_int_equal(geometry_slab(&g, page + 510),
				 256 + cluster / 255);
		assert_int_equal(geometry_slab(&g, page + 511),
				 256 + cluster / 255);
	}
	assert_int_equal(geometry_slabs(&g), 258);
}

/* A span that ends before its spill needs no slab for it. */
static void a_short_device_has_no_slab_for_spills(void **state)
{
	struct slab_geometry g =
		slab_geometry(510, 2 * MIB, SEAL_UNIT_BYTES, 1);

	(void)state;
	assert_int_equal(geometry_slabs(&g), 1);
	g = slab_geometry(511, 2 * MIB, SEAL_UNIT_BYTES, 1);
	assert_int_equal(geometry_slabs(&g), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_page_has_a_chunk),
		cmocka_unit_test(pages_that_fit_have_no_spill),
		cmocka_unit_test(sealed_pages_keep_to_clusters),
		cmocka_unit_test(a_short_device_has_no_slab_for_spills),
	};

	return cmocka_run_group_tests_name("geometry", tests, NULL, NULL);
}
