#include "pages/redundancy/redundancy.h"

#include <stdlib.h>

#include "pages/pagemap.h"
#include "support.h"

#define MAX_PAGES 64
/* Around every buffer that is written, to see what goes beyond it. */
#define FENCE	   64
#define FENCE_BYTE 0x5a

/* One for all tests, which draw from it in turn. */
static uint64_t seed;

struct fixture {
	uint8_t *pages; /* what is encoded */
	uint8_t *back;	/* what was decoded */
	uint8_t *room;	/* of the shares, or NULL */
	uint8_t *shares[REDUNDANCY_MAX_SHARDS];
};

/* --- buffers --- */

static uint8_t *make_buffer(size_t bytes)
{
	uint8_t *room = malloc(bytes + 2 * FENCE);

	assert_non_null(room);
	memset(room, FENCE_BYTE, bytes + 2 * FENCE);
	return room + FENCE;
}

static void free_buffer(uint8_t *buffer, size_t bytes)
{
	for (size_t i = 1; i <= FENCE; i++) {
		assert_int_equal(buffer[-(long)i], FENCE_BYTE);
		assert_int_equal(buffer[bytes + i - 1], FENCE_BYTE);
	}
	free(buffer - FENCE);
}

static void make_fixture(struct fixture *f, const struct redundancy *r,
			 uint32_t n_pages)
{
	uint64_t room_bytes = redundancy_room_bytes(r, n_pages);

	f->pages = make_buffer((size_t)n_pages * PAGE_BYTES);
	f->back = make_buffer((size_t)n_pages * PAGE_BYTES);
	random_fill(&seed, f->pages, (size_t)n_pages * PAGE_BYTES);
	f->room = room_bytes ? make_buffer(room_bytes) : NULL;
	redundancy_encode(r, f->pages, n_pages, f->room, f->shares);
}

static void end_fixture(struct fixture *f, const struct redundancy *r,
			uint32_t n_pages)
{
	free_buffer(f->pages, (size_t)n_pages * PAGE_BYTES);
	free_buffer(f->back, (size_t)n_pages * PAGE_BYTES);
	if (f->room)
		free_buffer(f->room, redundancy_room_bytes(r, n_pages));
}

/* --- every set of shard indexes --- */

/* The shard indexes of MASK, in an order that ROTATE chooses. */
static void list_indexes(const struct redundancy *r, uint32_t mask,
			 uint32_t rotate, uint32_t *indexes)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->shards; i++) {
		uint32_t index = (i + rotate) % r->shards;

		if (mask & 1u << index)
			indexes[n++] = index;
	}
	assert_int_equal(n, r->need);
}

static void check_indexes(struct fixture *f, const struct redundancy *r,
			  uint32_t mask, uint32_t n_pages)
{
	size_t page_bytes = (size_t)n_pages * PAGE_BYTES;
	const uint8_t *shares[REDUNDANCY_MAX_DATA];
	uint32_t indexes[REDUNDANCY_MAX_DATA];

	list_indexes(r, mask, (uint32_t)random_next(&seed) % r->shards,
		     indexes);
	for (uint32_t i = 0; i < r->need; i++)
		shares[i] = f->shares[indexes[i]];
	memset(f->back, 0xee, page_bytes);
	redundancy_decode(r, indexes, shares, n_pages, f->back);
	assert_memory_equal(f->back, f->pages, page_bytes);
}

static void check_all_sets(const struct redundancy *r, uint32_t n_pages)
{
	struct fixture f;
	uint32_t sets = 0;

	make_fixture(&f, r, n_pages);
	for (uint32_t mask = 0; mask < 1u << r->shards; mask++) {
		if ((uint32_t)__builtin_popcount(mask) != r->need)
			continue;
		check_indexes(&f, r, mask, n_pages);
		sets++;
	}
	assert_true(sets >= r->shards);
	end_fixture(&f, r, n_pages);
}

static void check_rs(uint32_t k, uint32_t m, uint32_t n_pages)
{
	struct redundancy r;
	struct error why;

	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, k, m, &why), 0);
	check_all_sets(&r, n_pages);
	redundancy_destroy(&r);
}

static void any_k_of_all_shares_give_the_pages(void **state)
{
	(void)state;
	for (uint32_t k = REDUNDANCY_MIN_DATA; k <= REDUNDANCY_MAX_DATA; k++) {
		for (uint32_t m = REDUNDANCY_MIN_PARITY;
		     m <= REDUNDANCY_MAX_PARITY; m++)
			check_rs(k, m, 3);
	}
}

static void any_number_of_pages_goes(void **state)
{
	(void)state;
	for (uint32_t n = 1; n <= MAX_PAGES; n++) {
		check_rs(4, 2, n);
		check_rs(3, 2, n);
	}
}

static void any_copy_gives_the_pages(void **state)
{
	(void)state;
	for (uint32_t n = 1; n <= REDUNDANCY_MAX_COPIES; n++) {
		struct redundancy r;
		struct error why;

		assert_int_equal(
			redundancy_create_copies(&r, PAGE_BYTES, n, &why), 0);
		check_all_sets(&r, 1);
		check_all_sets(&r, MAX_PAGES);
		redundancy_destroy(&r);
	}
}

/* --- what lies where --- */

static void copies_are_the_pages_themselves(void **state)
{
	uint8_t page[PAGE_BYTES], before[PAGE_BYTES];
	const uint8_t *at_hand[1] = { page };
	uint8_t *shares[2] = { NULL };
	struct redundancy r;
	uint32_t index = 1;
	struct error why;

	(void)state;
	random_fill(&seed, page, sizeof page);
	memcpy(before, page, sizeof page);
	assert_int_equal(redundancy_create_copies(&r, PAGE_BYTES, 2, &why), 0);
	assert_int_equal(redundancy_room_bytes(&r, 1), 0);
	assert_int_equal(r.shards, 2);
	assert_int_equal(r.need, 1);
	assert_int_equal(r.chunk_bytes, PAGE_BYTES);
	redundancy_encode(&r, page, 1, NULL, shares);
	assert_ptr_equal(shares[0], page);
	assert_ptr_equal(shares[1], page);
	redundancy_decode(&r, &index, at_hand, 1, page);
	assert_memory_equal(page, before, sizeof page);
	redundancy_destroy(&r);
}

static uint32_t unit_of(uint32_t k)
{
	struct redundancy r;
	struct error why;
	uint32_t chunk;

	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, k, 1, &why), 0);
	assert_int_equal(r.need, k);
	assert_int_equal(r.shards, k + 1);
	chunk = r.chunk_bytes;
	redundancy_destroy(&r);
	return chunk;
}

static void chunks_are_the_page_cut_in_k_and_rounded_up(void **state)
{
	(void)state;
	assert_int_equal(unit_of(2), 2048);
	assert_int_equal(unit_of(3), 1376);
	assert_int_equal(unit_of(4), 1024);
	assert_int_equal(unit_of(5), 832);
	assert_int_equal(unit_of(6), 688);
	assert_int_equal(unit_of(7), 592);
	assert_int_equal(unit_of(8), 512);
}

static void data_indexes_are_the_page_and_zeros_behind_it(void **state)
{
	struct fixture f;
	static const uint8_t zeros[32];
	struct redundancy r;
	struct error why;

	(void)state;
	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, 3, 2, &why), 0);
	make_fixture(&f, &r, 2);
	for (uint32_t i = 0; i < 2; i++) {
		const uint8_t *page = f.pages + i * PAGE_BYTES;
		uint32_t at = i * 1376;

		assert_memory_equal(f.shares[0] + at, page, 1376);
		assert_memory_equal(f.shares[1] + at, page + 1376, 1376);
		assert_memory_equal(f.shares[2] + at, page + 2752, 1344);
		assert_memory_equal(f.shares[2] + at + 1344, zeros, 32);
	}
	end_fixture(&f, &r, 2);
	redundancy_destroy(&r);
}

/* Shares are stored: what one version wrote, the next has to read. */
static void parity_is_that_of_the_cauchy_matrix(void **state)
{
	struct redundancy r;
	struct fixture f;
	struct error why;

	(void)state;
	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, 2, 1, &why), 0);
	make_fixture(&f, &r, 1);
	memset(f.pages, 0, PAGE_BYTES);
	f.pages[0] = 1;	   /* shard index 0 */
	f.pages[2048] = 1; /* shard index 1 */
	f.pages[2049] = 1;
	redundancy_encode(&r, f.pages, 1, f.room, f.shares);
	/* 1/2 and 1/3 in GF(256) by 0x11d: 0x8e and 0xf4. */
	assert_int_equal(f.shares[2][0], 0x8e ^ 0xf4);
	assert_int_equal(f.shares[2][1], 0xf4);
	assert_int_equal(f.shares[2][2], 0);
	end_fixture(&f, &r, 1);
	redundancy_destroy(&r);
}

static void what_create_allocates_is_told_and_bounded(void **state)
{
	struct redundancy r;
	struct error why;

	(void)state;
	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, 8, 4, &why), 0);
	assert_true(r.memory_bytes > 495 * 32 * 8 * 4);
	assert_true(r.memory_bytes < 1 << 20);
	redundancy_destroy(&r);
	assert_null(r.rs);
}

/* --- limits --- */

static void too_many_or_too_few_shards_are_refused(void **state)
{
	static const uint32_t bad[][2] = {
		{ 0, 1 }, { 1, 1 }, { 9, 1 }, { 2, 0 }, { 2, 5 }, { 0, 0 },
	};
	struct redundancy r = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct error why = { "" };

		assert_true(redundancy_create_rs(&r, PAGE_BYTES, bad[i][0],
						 bad[i][1], &why) < 0);
		assert_contains(why.text, "allowed are 2 to 8 of data and 1 "
					  "to 4 of parity");
	}
	for (uint32_t n = 0; n <= 5; n += 5) {
		struct error why = { "" };

		assert_true(redundancy_create_copies(&r, PAGE_BYTES, n, &why) <
			    0);
		assert_contains(why.text, "allowed are 1 to 4");
	}
}

static void k_and_m_are_parsed_within_their_limits(void **state)
{
	static const char *const bad[] = {
		"",
		"4",
		"+",
		"4+",
		"+2",
		"1+1",
		"9+1",
		"4+0",
		"4+5",
		"4 +2",
		"4+ 2",
		"4+2 ",
		" 4+2",
		"4+2+1",
		"-4+2",
		"4-2",
		"a+b",
		"4+2x",
		"4++2",
		"44+2",
		"00000004+2",
		"99999999999999999999+2",
		"4+99999999999999999999",
	};
	uint32_t k = 77, m = 88;

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		if (redundancy_parse(bad[i], &k, &m))
			fail_msg("\"%s\" was taken", bad[i]);
	}
	assert_int_equal(k, 77);
	assert_int_equal(m, 88);
	assert_true(redundancy_parse("4+2", &k, &m));
	assert_int_equal(k, 4);
	assert_int_equal(m, 2);
	assert_true(redundancy_parse("2+1", &k, &m));
	assert_int_equal(k, 2);
	assert_int_equal(m, 1);
	assert_true(redundancy_parse("8+4", &k, &m));
	assert_int_equal(k, 8);
	assert_int_equal(m, 4);
}

/* --- several threads with the same tables --- */

struct coder {
	const struct redundancy *r;
	uint64_t state;
	uint64_t wrong;
};

static void *code_and_compare(void *arg)
{
	uint8_t pages[2 * PAGE_BYTES], back[2 * PAGE_BYTES];
	uint8_t room[6 * 2 * 1024];
	struct coder *c = arg;
	uint8_t *shares[6];

	for (int i = 0; i < 2000; i++) {
		uint32_t indexes[4],
			first = (uint32_t)random_next(&c->state) % 6;
		const uint8_t *at_hand[4];

		random_fill(&c->state, pages, sizeof pages);
		redundancy_encode(c->r, pages, 2, room, shares);
		for (uint32_t j = 0; j < 4; j++) {
			indexes[j] = (first + j) % 6;
			at_hand[j] = shares[indexes[j]];
		}
		redundancy_decode(c->r, indexes, at_hand, 2, back);
		c->wrong += memcmp(pages, back, sizeof pages) != 0;
	}
	return NULL;
}

static void threads_code_at_the_same_time(void **state)
{
	struct coder coders[4] = { 0 };
	pthread_t threads[4];
	struct redundancy r;
	struct error why;

	(void)state;
	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, 4, 2, &why), 0);
	for (int i = 0; i < 4; i++) {
		coders[i] =
			(struct coder){ .r = &r, .state = random_next(&seed) };
		threads[i] = thread_start(code_and_compare, &coders[i]);
	}
	for (int i = 0; i < 4; i++) {
		thread_end(threads[i]);
		assert_int_equal(coders[i].wrong, 0);
	}
	redundancy_destroy(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_k_of_all_shares_give_the_pages),
		cmocka_unit_test(any_number_of_pages_goes),
		cmocka_unit_test(any_copy_gives_the_pages),
		cmocka_unit_test(copies_are_the_pages_themselves),
		cmocka_unit_test(chunks_are_the_page_cut_in_k_and_rounded_up),
		cmocka_unit_test(data_indexes_are_the_page_and_zeros_behind_it),
		cmocka_unit_test(parity_is_that_of_the_cauchy_matrix),
		cmocka_unit_test(what_create_allocates_is_told_and_bounded),
		cmocka_unit_test(too_many_or_too_few_shards_are_refused),
		cmocka_unit_test(k_and_m_are_parsed_within_their_limits),
		cmocka_unit_test(threads_code_at_the_same_time),
	};

	seed = random_seed();
	return cmocka_run_group_tests_name("redundancy", tests, NULL, NULL);
}
