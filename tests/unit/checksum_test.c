#include "checksum.h"

#include "pagemap.h"
#include "support.h"

#define PAGES 1000

/* --- RFC 3720, B.4 --- */

static void zeros_have_the_checksum_of_the_standard(void **state)
{
	uint8_t bytes[32] = { 0 };

	(void)state;
	assert_int_equal(checksum_bytes(bytes, sizeof bytes), 0x8a9136aa);
}

static void ones_have_the_checksum_of_the_standard(void **state)
{
	uint8_t bytes[32];

	(void)state;
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(checksum_bytes(bytes, sizeof bytes), 0x62a8ab43);
}

static void countings_have_the_checksums_of_the_standard(void **state)
{
	uint8_t up[32], down[32];

	(void)state;
	for (uint8_t i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = (uint8_t)(31 - i);
	}
	assert_int_equal(checksum_bytes(up, sizeof up), 0x46dd794e);
	assert_int_equal(checksum_bytes(down, sizeof down), 0x113fdb5c);
}

static void a_command_has_the_checksum_of_the_standard(void **state)
{
	static const uint8_t read_pdu[48] = {
		0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0,    0, 0, 0,	0, 0, 0, 0,
		0x14, 0,    0, 0, 0, 0, 4, 0, 0,    0, 0, 0x14, 0, 0, 0, 0x18,
		0x28, 0,    0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0,	0, 0, 0, 0,
	};

	(void)state;
	assert_int_equal(checksum_bytes(read_pdu, sizeof read_pdu), 0xd9963a56);
}

/* Bit by bit, as the polynomial says. */
static uint32_t slow_checksum(const uint8_t *bytes, size_t n)
{
	uint32_t sum = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
	}
	return ~sum;
}

static void a_page_has_the_checksum_of_all_its_bytes(void **state)
{
	uint64_t seed = random_seed();
	uint8_t room[PAGE_BYTES + 64];

	(void)state;
	for (size_t at = 0; at < 64; at += 7) {
		random_fill(&seed, room, sizeof room);
		assert_int_equal(checksum_page(room + at),
				 slow_checksum(room + at, PAGE_BYTES));
	}
}

static void any_changed_bit_changes_it(void **state)
{
	uint64_t seed = random_seed();
	uint8_t page[PAGE_BYTES];
	uint32_t sum;

	(void)state;
	random_fill(&seed, page, sizeof page);
	sum = checksum_page(page);
	for (uint32_t bit = 0; bit < PAGE_BYTES * 8; bit++) {
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(checksum_page(page), sum);
		page[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(checksum_page(page), sum);
}

/* --- one for each page --- */

static void what_was_set_is_there(void **state)
{
	struct checksums c;
	struct reason why;

	(void)state;
	assert_int_equal(checksums_create(&c, PAGES, &why), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(checksums_get(&c, i), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		checksums_set(&c, i, (uint32_t)(i * 0x9e3779b9u));
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(checksums_get(&c, i),
				 (uint32_t)(i * 0x9e3779b9u));
	checksums_destroy(&c);
	assert_null(c.sums);
	checksums_destroy(&c);
}

static void too_many_pages_are_refused_in_words(void **state)
{
	struct checksums c = { 0 };
	struct reason why = { "" };

	(void)state;
	assert_true(checksums_create(&c, UINT64_MAX / 8, &why) < 0);
	assert_contains(why.text, "checksums of");
	assert_null(c.sums);
}

struct handover {
	struct checksums *sums;
	int written; /* no atomic: the checksum orders it */
	int seen;
};

static void *read_after_sum(void *arg)
{
	struct handover *h = arg;

	while (checksums_get(h->sums, 3) == 0)
		;
	h->seen = h->written;
	return NULL;
}

static void who_sees_a_checksum_sees_what_was_before(void **state)
{
	struct checksums c;
	struct reason why;
	struct handover h = { .sums = &c };
	pthread_t thread;

	(void)state;
	assert_int_equal(checksums_create(&c, PAGES, &why), 0);
	thread = thread_start(read_after_sum, &h);
	h.written = 7;
	checksums_set(&c, 3, 1);
	thread_end(thread);
	assert_int_equal(h.seen, 7);
	checksums_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeros_have_the_checksum_of_the_standard),
		cmocka_unit_test(ones_have_the_checksum_of_the_standard),
		cmocka_unit_test(countings_have_the_checksums_of_the_standard),
		cmocka_unit_test(a_command_has_the_checksum_of_the_standard),
		cmocka_unit_test(a_page_has_the_checksum_of_all_its_bytes),
		cmocka_unit_test(any_changed_bit_changes_it),
		cmocka_unit_test(what_was_set_is_there),
		cmocka_unit_test(too_many_pages_are_refused_in_words),
		cmocka_unit_test(who_sees_a_checksum_sees_what_was_before),
	};

	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
