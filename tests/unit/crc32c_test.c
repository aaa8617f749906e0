#include "pages/crc32c.h"

#include "pages/pagemap.h"
#include "support.h"

/* --- RFC 3720, B.4 --- */

static void the_examples_of_the_standard_come_out(void **state)
{
	static const uint8_t command[48] = {
		0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0,	0, 0, 0, 0,
		0x14, 0,    0, 0, 0, 0, 4, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
		0x28, 0,    0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0,	0, 0, 0, 0,
	};
	uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];

	(void)state;
	memset(ones, 0xff, sizeof ones);
	for (uint8_t i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(crc32c(zeros, sizeof zeros), 0x8a9136aa);
	assert_int_equal(crc32c(ones, sizeof ones), 0x62a8ab43);
	assert_int_equal(crc32c(up, sizeof up), 0x46dd794e);
	assert_int_equal(crc32c(down, sizeof down), 0x113fdb5c);
	assert_int_equal(crc32c(command, sizeof command), 0xd9963a56);
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
	uint64_t seed = random_seed();
	uint8_t room[PAGE_BYTES + 64];

	(void)state;
	for (size_t at = 0; at < 64; at += 7) {
		random_fill(&seed, room, sizeof room);
		assert_int_equal(crc32c(room + at, PAGE_BYTES),
				 bit_by_bit(room + at, PAGE_BYTES));
	}
}

static void any_length_is_right(void **state)
{
	uint64_t seed = random_seed();
	uint8_t bytes[100];

	(void)state;
	random_fill(&seed, bytes, sizeof bytes);
	for (size_t n = 0; n <= sizeof bytes; n++)
		assert_int_equal(crc32c(bytes, n), bit_by_bit(bytes, n));
}

static void any_changed_bit_changes_it(void **state)
{
	uint64_t seed = random_seed();
	uint8_t page[PAGE_BYTES];
	uint32_t sum;

	(void)state;
	random_fill(&seed, page, sizeof page);
	sum = crc32c(page, PAGE_BYTES);
	for (uint32_t bit = 0; bit < PAGE_BYTES * 8; bit++) {
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(crc32c(page, PAGE_BYTES), sum);
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(crc32c(page, PAGE_BYTES), sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_examples_of_the_standard_come_out),
		cmocka_unit_test(
			a_page_counts_with_all_its_bytes_wherever_it_lies),
		cmocka_unit_test(any_length_is_right),
		cmocka_unit_test(any_changed_bit_changes_it),
	};

	return cmocka_run_group_tests_name("crc32c", tests, NULL, NULL);
}
