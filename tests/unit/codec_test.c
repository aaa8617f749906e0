/* The seam between requests and redundancy: an engine whose codec makes longer
 * units with other bytes than the pages, and never the same unit twice. Nothing
 * but the codec may take a unit for a page. */
#include "fake_servers.h"

#include "pages/codec.h"
#include "repair/repair.h"

#define SERVERS 4
#define PAGES	60u /* of several slabs */

/* What stands before the bytes of a page in its unit. */
struct head {
	uint64_t page;
	uint64_t number; /* of all units that were ever made */
	uint32_t sum;	 /* of the page */
	char rest[44];
};

_Static_assert(sizeof(struct head) == 64, "");

#define UNIT_BYTES (sizeof(struct head) + PAGE_BYTES)

static _Atomic uint64_t made, kept[FAKE_PAGES];

static uint64_t take(const struct codec *codec, uint32_t n)
{
	(void)codec;
	return atomic_fetch_add(&made, n) + 1;
}

static void hide(uint64_t number, const uint8_t *from, uint8_t *to)
{
	uint64_t word;

	for (size_t i = 0; i < PAGE_BYTES; i += sizeof word) {
		memcpy(&word, from + i, sizeof word);
		word ^= number * UINT64_C(0x9e3779b97f4a7c15) + i;
		memcpy(to + i, &word, sizeof word);
	}
}

static bool encode(const struct codec *codec, uint32_t lane, uint64_t page,
		   uint64_t generation, const uint8_t *bytes, uint8_t *unit)
{
	struct head head = { .page = page,
			     .number = generation,
			     .sum = checksum_page(bytes) };

	(void)codec;
	(void)lane;
	memcpy(unit, &head, sizeof head);
	hide(head.number, bytes, unit + sizeof head);
	return true;
}

static void keep(struct codec *codec, uint64_t page, uint64_t generation,
		 const uint8_t *unit)
{
	struct head head;

	(void)codec;
	memcpy(&head, unit, sizeof head);
	assert_int_equal(head.page, page);
	assert_int_equal(head.number, generation);
	atomic_store(&kept[page], head.number);
}

static bool decode(const struct codec *codec, uint32_t lane, uint64_t page,
		   const uint8_t *unit, uint8_t *bytes)
{
	struct head head;

	(void)codec;
	(void)lane;
	memcpy(&head, unit, sizeof head);
	hide(head.number, unit + sizeof head, bytes);
	return head.page == page && head.number == atomic_load(&kept[page]) &&
	       head.sum == checksum_page(bytes);
}

static const struct codec_ops hiding = {
	.take = take, .encode = encode, .keep = keep, .decode = decode
};

int __wrap_codec_create(struct codec *codec, const struct codec_config *config,
			struct error *why);

int __wrap_codec_create(struct codec *codec, const struct codec_config *config,
			struct error *why)
{
	(void)config;
	(void)why;
	*codec = (struct codec){ .ops = &hiding, .unit_bytes = UNIT_BYTES };
	return 0;
}

/* --- */

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

static const struct scheme {
	uint32_t copies, data, parity;
} schemes[] = {
	{ 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 }, { 0, 2, 1 }, { 0, 3, 1 }
};

static void with_each_scheme(void (*test)(void))
{
	for (size_t i = 0; i < COUNT(schemes); i++) {
		const struct scheme *s = &schemes[i];

		fake_start_copies(SERVERS, 4, LONG_MS, s->copies, s->data,
				  s->parity);
		for (uint32_t m = 0; m < SERVERS; m++)
			fake_session_start(m);
		fake_fill(sent, 0, PAGES, 1);
		assert_int_equal(fake_write(sent, 0, PAGES), 0);
		test();
		repair_stop(&fake.engine);
		assert_counts_right();
		fake_stop();
	}
}

static void assert_reads_back(void)
{
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, sizeof got);
	for (uint64_t page = 0; page < PAGES; page += 7) {
		assert_int_equal(fake_read(got, page, 1), 0);
		assert_memory_equal(got, sent + page * PAGE_BYTES, PAGE_BYTES);
	}
}

static uint32_t stale_chunks(void)
{
	uint32_t n = 0;

	for (uint64_t i = 0; i < fake.engine.slabs.n; i++) {
		for (uint32_t j = 0; j < fake.engine.slabs.n_shards; j++)
			n += atomic_load(&fake.engine.slabs.slabs[i]
						  .shards[j]
						  .stale_chunks);
	}
	return n;
}

static void read_back(void)
{
	const struct redundancy *r = &fake.engine.redundancy;

	assert_true(r->need * r->chunk_bytes >= UNIT_BYTES);
	assert_int_equal(fake.engine.slabs.geometry.slab_pages,
			 FAKE_SLAB_BYTES / r->chunk_bytes);
	assert_reads_back();
	fake_fill(sent, 0, PAGES, 2);
	for (uint64_t page = 0; page < PAGES; page += 5)
		assert_int_equal(fake_write(sent + page * PAGE_BYTES, page, 5),
				 0);
	assert_reads_back();
}

static void pages_come_back(void **state)
{
	(void)state;
	with_each_scheme(read_back);
}

/* Nothing but units leaves: no server has a word of a page. */
static void search_servers(void)
{
	uint64_t word;

	memcpy(&word, sent, sizeof word);
	for (uint32_t i = 0; i < fake.n_slabs; i++)
		assert_null(memmem(fake.slabs[i], FAKE_SLAB_BYTES, &word,
				   sizeof word));
}

static void servers_have_units_alone(void **state)
{
	(void)state;
	with_each_scheme(search_servers);
}

/* A unit that is wrong is found, and repaired from the others: with the unit
 * that was kept, not with a new one. */
static void spoil_and_repair(void)
{
	const struct redundancy *r = &fake.engine.redundancy;
	uint64_t before, deadline_ns = after_ms(LONG_MS);
	struct error why;

	if (r->shards == r->need) {
		fake_spoil(3, 0);
		assert_int_equal(fake_read(got, 3, 1), -EIO);
		assert_int_equal(fake_write(sent + 3 * PAGE_BYTES, 3, 1), 0);
		assert_reads_back();
		return;
	}
	before = atomic_load(&made);
	for (uint64_t page = 0; page < PAGES; page += 3)
		fake_spoil(page, (uint32_t)(page % r->shards));
	for (int i = 0; i < 64; i++) /* of every shard, sooner or later */
		assert_reads_back();
	assert_int_equal(repair_start(&fake.engine, &why), 0);
	while (stale_chunks() > 0 && clock_left_ns(deadline_ns) > 0)
		sleep_ms(1);
	assert_int_equal(stale_chunks(), 0);
	assert_int_equal(atomic_load(&made), before);
	assert_true(atomic_load(&fake.engine.repair->copied_pages) > 0);
	assert_reads_back();
}

static void repair_copies_units(void **state)
{
	(void)state;
	with_each_scheme(spoil_and_repair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_come_back),
		cmocka_unit_test(servers_have_units_alone),
		cmocka_unit_test(repair_copies_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
