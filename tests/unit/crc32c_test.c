#include "pages/crc32c.h"

#include "pages/pagemap.h"
#include "support.h"

/* Each test is run once for each way: *state is the way. */

/* --- RFC 3720, B.4 --- */

static void the_examples_of_the_standard_come_out(void **state)
{
	static const uint8_t command[48] = {
		0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0,	0, 0, 0, 0,
		0x14, 0,    0, 0, 0, 0, 4, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
		0x28, 0,    0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0,	0, 0, 0, 0,
	};
	const struct crc32c_way *way = *state;
	uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];

	memset(ones, 0xff, sizeof ones);
	for (uint8_t i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(way->sum(zeros, sizeof zeros), 0x8a9136aa);
	assert_int_equal(way->sum(ones, sizeof ones), 0x62a8ab43);
	assert_int_equal(way->sum(up, sizeof up), 0x46dd794e);
	assert_int_equal(way->sum(down, sizeof down), 0x113fdb5c);
	assert_int_equal(way->sum(command, sizeof command), 0xd9963a56);
}

/* --- beside the polynomial itself --- */

static uint32_t bit_by_bit(const uint8_t *bytes, size_t n)
{
	uint32_t sum = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
	}
	return ~sum;
}

static void a_page_counts_with_all_its_bytes_wherever_it_lies(void **state)
{
	const struct crc32c_way *way = *state;
	uint64_t seed = random_seed();
	uint8_t room[PAGE_BYTES + 64];

	for (size_t at = 0; at < 64; at += 7) {
		random_fill(&seed, room, sizeof room);
		assert_int_equal(way->sum(room + at, PAGE_BYTES),
				 bit_by_bit(room + at, PAGE_BYTES));
	}
}

static void any_length_is_right(void **state)
{
	const struct crc32c_way *way = *state;
	uint64_t seed = random_seed();
	uint8_t bytes[100];

	random_fill(&seed, bytes, sizeof bytes);
	for (size_t n = 0; n <= sizeof bytes; n++)
		assert_int_equal(way->sum(bytes, n), bit_by_bit(bytes, n));
}

static void any_changed_bit_changes_it(void **state)
{
	const struct crc32c_way *way = *state;
	uint64_t seed = random_seed();
	uint8_t page[PAGE_BYTES];
	uint32_t sum;

	random_fill(&seed, page, sizeof page);
	sum = way->sum(page, PAGE_BYTES);
	for (uint32_t bit = 0; bit < PAGE_BYTES * 8; bit++) {
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(way->sum(page, PAGE_BYTES), sum);
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(way->sum(page, PAGE_BYTES), sum);
}

/* --- the choice --- */

static void *sum_meanwhile(void *arg)
{
	const uint8_t *page = arg;
	uint32_t right = bit_by_bit(page, PAGE_BYTES);
	uintptr_t wrong = 0;

	for (int i = 0; i < 200; i++)
		wrong += crc32c(page, PAGE_BYTES) != right;
	return (void *)wrong;
}

static void choosing_changes_no_sum(void **state)
{
	uint64_t seed = random_seed();
	uint64_t took_ns[CRC32C_WAYS];
	uint8_t page[PAGE_BYTES];
	pthread_t thread;
	void *wrong;

	(void)state;
	random_fill(&seed, page, sizeof page);
	thread = thread_start(sum_meanwhile, page);
	for (int i = 0; i < 20; i++)
		crc32c_choose(took_ns);
	pthread_join(thread, &wrong);
	assert_null(wrong);
	assert_int_equal(crc32c(page, PAGE_BYTES),
			 bit_by_bit(page, PAGE_BYTES));
}

static void the_fastest_way_is_chosen(void **state)
{
	uint64_t took_ns[CRC32C_WAYS];
	int chosen = -1;

	(void)state;
	crc32c_choose(took_ns);
	for (int i = 0; i < CRC32C_WAYS; i++) {
		if (crc32c_chosen() == &crc32c_ways[i])
			chosen = i;
	}
	assert_true(chosen >= 0);
	for (int i = 0; i < CRC32C_WAYS; i++)
		assert_true(took_ns[chosen] <= took_ns[i]);
}

int main(void)
{
	int failed = 0;

	for (int i = 0; i < CRC32C_WAYS; i++) {
		void *way = (void *)(uintptr_t)&crc32c_ways[i];
		const struct CMUnitTest tests[] = {
			cmocka_unit_test_prestate(
				the_examples_of_the_standard_come_out, way),
			cmocka_unit_test_prestate(
				a_page_counts_with_all_its_bytes_wherever_it_lies,
				way),
			cmocka_unit_test_prestate(any_length_is_right, way),
			cmocka_unit_test_prestate(any_changed_bit_changes_it,
						  way),
		};

		failed += cmocka_run_group_tests_name(crc32c_ways[i].name,
						      tests, NULL, NULL);
	}
	{
		const struct CMUnitTest tests[] = {
			cmocka_unit_test(choosing_changes_no_sum),
			cmocka_unit_test(the_fastest_way_is_chosen),
		};

		failed += cmocka_run_group_tests_name("choice", tests, NULL,
						      NULL);
	}
	return failed;
}
