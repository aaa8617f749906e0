/* The engine with sealed pages: what servers get, and what they can do with it.
 */
#include "fake_servers.h"

#include <errno.h>
#include <stdlib.h>

#include "repair/repair.h"

#define SERVERS 4
#define PAGES	60u /* of several slabs */
#define PAGE	5u  /* the one that is attacked */

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

static const struct scheme {
	uint32_t copies, data, parity;
} schemes[] = {
	{ 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 }, { 0, 2, 1 }, { 0, 3, 1 }
};

static void start_scheme(const struct scheme *s)
{
	fake_start_copies(SERVERS, 4, LONG_MS, s->copies, s->data, s->parity);
	for (uint32_t m = 0; m < SERVERS; m++)
		fake_session_start(m);
	fake_fill(sent, 0, PAGES, 1);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
}

static void end_scheme(void)
{
	repair_stop(&fake.engine);
	assert_counts_right();
	fake_stop();
}

/* What shard I of PAGE's slab holds of it. */
static uint8_t *chunk(uint64_t page, uint32_t i)
{
	const struct slab_table *table = &fake.engine.slabs;
	const struct slab *slab = &table->slabs[slab_of_page(table, page)];

	return (uint8_t *)fake.slabs[slab->shards[i].remote.address] +
	       slab_offset_of_page(table, page);
}

static uint32_t chunk_bytes(void)
{
	return fake.engine.redundancy.chunk_bytes;
}

/* --- what servers get --- */

static void no_server_has_a_word_of_a_page(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		start_scheme(&schemes[i]);
		for (uint32_t slab = 0; slab < fake.n_slabs; slab++)
			assert_null(memmem(fake.slabs[slab], FAKE_SLAB_BYTES,
					   sent + PAGE_BYTES / 2, 16));
		assert_int_equal(fake_read(got, 0, PAGES), 0);
		assert_memory_equal(got, sent, sizeof sent);
		end_scheme();
	}
}

static void copies_are_of_one_sealing(void **state)
{
	(void)state;
	start_scheme(&schemes[2]);
	for (uint64_t page = 0; page < PAGES; page++) {
		for (uint32_t i = 1; i < 3; i++)
			assert_memory_equal(chunk(page, i), chunk(page, 0),
					    SEAL_UNIT_BYTES);
	}
	end_scheme();
}

static uint8_t first_unit[SEAL_UNIT_BYTES];

static void take_unit(const struct xfer *x)
{
	memcpy(first_unit, x->buf, sizeof first_unit);
}

/* The first attempt reaches one of two servers, which could compare it with
 * that of the second attempt. */
static void a_repeated_write_is_sealed_again(void **state)
{
	(void)state;
	start_scheme(&schemes[1]);
	fake_at_halfway(XFER_WRITE, 0, take_unit);
	fake.fault = (struct fake_fault){
		.machine = fake.engine.slabs.slabs[0].shards[1].server,
		.times = 1,
		.status = -ECONNRESET
	};
	assert_int_equal(fake_write(sent + PAGE * PAGE_BYTES, PAGE, 1), 0);
	assert_null(fake.halfway.call);
	assert_int_equal(fake.fault.times, 0);
	assert_memory_not_equal(chunk(PAGE, 0), first_unit, sizeof first_unit);
	assert_int_equal(fake_read(got, PAGE, 1), 0);
	assert_memory_equal(got, sent + PAGE * PAGE_BYTES, PAGE_BYTES);
	end_scheme();
}

/* --- what a hostile server answers --- */

static uint8_t old[REDUNDANCY_MAX_SHARDS][SEAL_UNIT_BYTES];

static void flip_a_bit(uint32_t i)
{
	chunk(PAGE, i)[chunk_bytes() / 3] ^= 0x10;
}

static void answer_zeros(uint32_t i)
{
	memset(chunk(PAGE, i), 0, chunk_bytes());
}

static void replay(uint32_t i)
{
	memcpy(chunk(PAGE, i), old[i], chunk_bytes());
}

static void swap_pages(uint32_t i)
{
	uint8_t *one = chunk(PAGE, i), *other = chunk(PAGE + 1, i);

	for (uint32_t at = 0; at < chunk_bytes(); at++) {
		uint8_t byte = one[at];

		one[at] = other[at];
		other[at] = byte;
	}
}

static void answer_another_page(uint32_t i)
{
	memcpy(chunk(PAGE, i), chunk(PAGE + 2, i), chunk_bytes());
}

/* The page at the same place of another slab. */
static void answer_another_slab(uint32_t i)
{
	uint64_t other = PAGE + fake.engine.slabs.geometry.slab_pages;

	assert_true(other < PAGES);
	memcpy(chunk(PAGE, i), chunk(other, i), chunk_bytes());
}

static void (*const attacks[])(uint32_t i) = {
	flip_a_bit, answer_zeros,	 replay,
	swap_pages, answer_another_page, answer_another_slab,
};

/* Writes PAGE twice, so that there is an earlier unit to replay. */
static void prepare(void)
{
	const struct redundancy *r = &fake.engine.redundancy;

	for (uint32_t i = 0; i < r->shards; i++)
		memcpy(old[i], chunk(PAGE, i), chunk_bytes());
	fake_fill(sent + PAGE * PAGE_BYTES, PAGE, 1, 2);
	assert_int_equal(fake_write(sent + PAGE * PAGE_BYTES, PAGE, 1), 0);
}

/* Shard by shard; the reads take now this, now that server. */
static void attack_one_shard(const struct scheme *s, void (*attack)(uint32_t))
{
	for (uint32_t i = 0; i < s->copies + s->data + s->parity; i++) {
		start_scheme(s);
		prepare();
		attack(i);
		for (int n = 0; n < 40; n++) {
			assert_int_equal(fake_read(got, PAGE, 2), 0);
			assert_memory_equal(got, sent + PAGE * PAGE_BYTES,
					    2 * (size_t)PAGE_BYTES);
		}
		assert_true(atomic_load(&fake.engine.counters.wrong_reads) > 0);
		end_scheme();
	}
}

static void attack_all_shards(const struct scheme *s, void (*attack)(uint32_t))
{
	start_scheme(s);
	prepare();
	for (uint32_t i = 0; i < fake.engine.redundancy.shards; i++)
		attack(i);
	assert_int_equal(fake_read(got, PAGE, 1), -EIO);
	assert_int_equal(fake_read(got, PAGE, 1), -EIO);
	/* It is as good as new once it is written. */
	assert_int_equal(fake_write(sent + PAGE * PAGE_BYTES, PAGE, 1), 0);
	assert_int_equal(fake_read(got, PAGE, 1), 0);
	assert_memory_equal(got, sent + PAGE * PAGE_BYTES, PAGE_BYTES);
	end_scheme();
}

static void a_wrong_answer_is_never_taken_for_the_page(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		for (size_t a = 0; a < COUNT(attacks); a++) {
			if (schemes[i].copies != 1)
				attack_one_shard(&schemes[i], attacks[a]);
			attack_all_shards(&schemes[i], attacks[a]);
		}
	}
}

/* --- nonces --- */

/* Pages are sealed by several requests at a time. */
static _Atomic bool used[1u << 20]; /* by generation */
static _Atomic uint64_t sealed, used_twice;

bool __real_seal_page(const struct sealer *sealer, uint32_t lane, uint64_t page,
		      uint64_t generation, const uint8_t *bytes, uint8_t *unit);
bool __wrap_seal_page(const struct sealer *sealer, uint32_t lane, uint64_t page,
		      uint64_t generation, const uint8_t *bytes, uint8_t *unit);

bool __wrap_seal_page(const struct sealer *sealer, uint32_t lane, uint64_t page,
		      uint64_t generation, const uint8_t *bytes, uint8_t *unit)
{
	sealed++;
	if (generation < COUNT(used))
		used_twice += atomic_exchange(&used[generation], true);
	return __real_seal_page(sealer, lane, page, generation, bytes, unit);
}

static void forget_generations(void)
{
	for (size_t i = 0; i < COUNT(used); i++)
		used[i] = false;
	sealed = used_twice = 0;
}

static void *write_anywhere(void *arg)
{
	static const uint32_t most = 24; /* so that runs are in three slabs */
	char *bytes = malloc(most * PAGE_BYTES);
	uint64_t seed = (uintptr_t)arg;

	for (uint64_t i = 0; i < 100; i++) {
		uint64_t n = random_next(&seed) % most + 1;
		uint64_t page = random_next(&seed) % (FAKE_PAGES - n);

		fake_fill(bytes, page, n, i);
		fake_write(bytes, page, n);
		if (i % 10 == 0)
			engine_discard(&fake.engine, n * PAGE_BYTES,
				       page * PAGE_BYTES);
	}
	free(bytes);
	return NULL;
}

/* Requests that are repeated whole or in part, by several lanes, beside the
 * repairer. */
static void no_generation_is_used_twice_whatever_fails(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		struct error why;
		pthread_t threads[2];

		forget_generations();
		start_scheme(&schemes[i]);
		assert_int_equal(sealed, PAGES);
		fake.fault_permille = 100;
		assert_int_equal(repair_start(&fake.engine, &why), 0);
		for (uintptr_t t = 0; t < COUNT(threads); t++)
			threads[t] =
				thread_start(write_anywhere, (void *)(t + 1));
		for (size_t t = 0; t < COUNT(threads); t++)
			thread_end(threads[t]);
		assert_int_equal(used_twice, 0);
		/* So every generation was below COUNT(used). */
		assert_in_range(sealed, PAGES,
				sealer_take(fake.engine.codec.sealer, 1));
		assert_true(sealer_take(fake.engine.codec.sealer, 1) <
			    COUNT(used));
		end_scheme();
	}
}

/* --- the end of generations --- */

static void leave_generations(uint64_t n)
{
	struct sealer *sealer = fake.engine.codec.sealer;
	uint64_t last = (UINT64_C(1) << SEAL_GENERATION_BITS) - 1;
	uint64_t left = last - sealer_take(sealer, 1);

	while (left > n) {
		uint32_t now = left - n < UINT32_MAX ? (uint32_t)(left - n)
						     : UINT32_MAX;

		assert_true(sealer_take(sealer, now) > 0);
		left -= now;
	}
}

static void
without_generations_a_write_fails_and_the_old_page_stays(void **state)
{
	(void)state;
	start_scheme(&schemes[1]);
	leave_generations(0);
	fake_fill(got, PAGE, 1, 2);
	assert_int_equal(fake_write(got, PAGE, 1), -EIO);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, sizeof sent);
	end_scheme();
}

/* The first of two runs can be sealed, the second cannot. */
static void a_write_that_cannot_be_sealed_whole_is_not_sent(void **state)
{
	const uint64_t border = FAKE_SLAB_PAGES, first = border - 4;

	(void)state;
	start_scheme(&schemes[1]);
	leave_generations(4);
	fake_fill(got, first, 8, 2);
	fake_clear_log();
	assert_int_equal(fake_write(got, first, 8), -EIO);
	assert_int_equal(fake.n_sent, 0);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, sizeof sent);
	end_scheme();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_server_has_a_word_of_a_page),
		cmocka_unit_test(copies_are_of_one_sealing),
		cmocka_unit_test(a_repeated_write_is_sealed_again),
		cmocka_unit_test(a_wrong_answer_is_never_taken_for_the_page),
		cmocka_unit_test(no_generation_is_used_twice_whatever_fails),
		cmocka_unit_test(
			without_generations_a_write_fails_and_the_old_page_stays),
		cmocka_unit_test(
			a_write_that_cannot_be_sealed_whole_is_not_sent),
	};

	return cmocka_run_group_tests_name("sealed", tests, NULL, NULL);
}
