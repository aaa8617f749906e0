/* Sealing, by its parts too: hence the include. */
#include "support.h"

#include "pages/seal.c"

#include <stdlib.h>

#define LANES 2u
#define PAGE  UINT64_C(0x0123456789)
#define WHEN  UINT64_C(0xa1b2c3d4e5f6)

static uint8_t page[PAGE_BYTES], unit[SEAL_UNIT_BYTES], back[PAGE_BYTES];
static struct sealer *sealer;

static void fill_page(void)
{
	for (uint32_t i = 0; i < PAGE_BYTES; i++)
		page[i] = (uint8_t)(i * 7 + (i >> 8));
}

static int make_sealer(void **state)
{
	struct error why;

	(void)state;
	fill_page();
	return sealer_create(&sealer, LANES, &why);
}

static int end_sealer(void **state)
{
	(void)state;
	sealer_destroy(sealer);
	return 0;
}

static bool opens(uint64_t number, uint64_t generation)
{
	memset(back, 0, sizeof back);
	return seal_open(sealer, 0, number, generation, unit, back);
}

/* --- memory --- */

/* The allocator of the whole program, GnuTLS included. */
static _Atomic uint64_t allocations;

/* A sanitizer has its own. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS
#define VISIBLE __attribute__((visibility("default")))

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

VISIBLE void *malloc(size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(bytes);
}

VISIBLE void *calloc(size_t n, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(n, bytes);
}

VISIBLE void *realloc(void *old, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(old, bytes);
}
#endif

/* --- what others compute --- */

struct vector {
	const char *key, *nonce, *text, *unit;
};

static size_t from_hex(const char *hex, uint8_t *bytes)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &bytes[i]), 1);
	return n;
}

static void assert_vector(const struct cipher *cipher, const struct vector *v)
{
	uint8_t key[KEY_BYTES], nonce[NONCE_BYTES], text[64], made[80],
		expected[80];
	gnutls_aead_cipher_hd_t handle;
	size_t n = from_hex(v->text, text);

	assert_int_equal(from_hex(v->key, key), KEY_BYTES);
	assert_int_equal(from_hex(v->nonce, nonce), NONCE_BYTES);
	assert_int_equal(from_hex(v->unit, expected), n + SEAL_TAG_BYTES);
	assert_int_equal(open_cipher(cipher, key, &handle), 0);
	assert_true(encrypt(handle, nonce, text, n, made));
	assert_memory_equal(made, expected, n + SEAL_TAG_BYTES);
	assert_true(decrypt(handle, nonce, expected, n, made));
	assert_memory_equal(made, text, n);
	gnutls_aead_cipher_deinit(handle);
}

#define ZEROS_16 "00000000000000000000000000000000"

/* The GCM specification by McGrew and Viega, test cases 14 and 15. */
static const struct vector gcm_vectors[] = {
	{ ZEROS_16 ZEROS_16, "000000000000000000000000", ZEROS_16,
	  "cea7403d4d606b6e074ec5d3baf39d18"
	  "d0d1c8a799996bf0265b98b5d48ab919" },
	{ "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
	  "b094dac5d93471bdec1a502270e3cc6c" },
};

/* OpenSSL, as RFC 8439 has no vector without additional data. */
static const struct vector chacha_vectors[] = {
	{ ZEROS_16 ZEROS_16, "000000000000000000000000", ZEROS_16,
	  "9f07e7be5551387a98ba977c732d080d"
	  "c34a88047320f52aa2c6683ef8084d2f" },
};

static void ciphers_compute_what_others_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(gcm_vectors); i++)
		assert_vector(&ciphers[0], &gcm_vectors[i]);
	for (size_t i = 0; i < COUNT(chacha_vectors); i++)
		assert_vector(&ciphers[1], &chacha_vectors[i]);
}

/* A whole page under the key 00 01 ... 1f: where page and generation stand in
 * the nonce.  Made by OpenSSL. */
static void a_unit_is_what_others_make_of_its_nonce(void **state)
{
	static const char *const ends[COUNT(ciphers)][2] = {
		{ "e915f2b7eec7bc1d998bca7082512167",
		  "d136b377dfcc5541eba136901490529d"
		  "30b78e9384316ae9ba25467b2bb8f2fb" },
		{ "745948cdbd15852a0e1bde6999246843",
		  "184347bdf42deb3ebf3243093815dad9"
		  "bbb9e557d0d8c6eb98e40a3a245811e1" },
	};

	(void)state;
	fill_page();
	for (size_t i = 0; i < COUNT(ciphers); i++) {
		uint8_t key[KEY_BYTES], first[16], last[32];
		struct sealer *fixed;

		for (uint8_t j = 0; j < KEY_BYTES; j++)
			key[j] = j;
		fixed = create_with(&ciphers[i], key, 1);
		assert_non_null(fixed);
		assert_true(seal_page(fixed, 0, PAGE, WHEN, page, unit));
		from_hex(ends[i][0], first);
		from_hex(ends[i][1], last);
		assert_memory_equal(unit, first, sizeof first);
		assert_memory_equal(unit + sizeof unit - sizeof last, last,
				    sizeof last);
		assert_true(seal_open(fixed, 0, PAGE, WHEN, unit, back));
		assert_memory_equal(back, page, sizeof back);
		sealer_destroy(fixed);
	}
}

/* --- what does not open --- */

static void another_lane_opens_it(void **state)
{
	(void)state;
	assert_true(seal_page(sealer, 0, PAGE, WHEN, page, unit));
	assert_memory_not_equal(unit, page, sizeof page);
	assert_true(seal_open(sealer, 1, PAGE, WHEN, unit, back));
	assert_memory_equal(back, page, sizeof back);
}

static void every_bit_counts(void **state)
{
	(void)state;
	assert_true(seal_page(sealer, 0, PAGE, WHEN, page, unit));
	for (uint32_t bit = 0; bit < 8 * SEAL_UNIT_BYTES; bit += 13) {
		unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(opens(PAGE, WHEN));
		unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (uint32_t bit = 8 * PAGE_BYTES; bit < 8 * SEAL_UNIT_BYTES; bit++) {
		unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(opens(PAGE, WHEN));
		unit[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(opens(PAGE, WHEN));
	memset(unit, 0, sizeof unit);
	assert_false(opens(PAGE, WHEN));
}

static void only_its_page_and_its_generation_open_it(void **state)
{
	(void)state;
	assert_true(seal_page(sealer, 0, PAGE, WHEN, page, unit));
	for (uint32_t bit = 0; bit < SEAL_PAGE_BITS; bit++)
		assert_false(opens(PAGE ^ UINT64_C(1) << bit, WHEN));
	for (uint32_t bit = 0; bit < SEAL_GENERATION_BITS; bit++)
		assert_false(opens(PAGE, WHEN ^ UINT64_C(1) << bit));
	assert_true(opens(PAGE, WHEN));
}

static void each_sealer_has_its_own_key(void **state)
{
	struct sealer *other;
	struct error why;

	(void)state;
	assert_int_equal(sealer_create(&other, 1, &why), 0);
	assert_true(seal_page(other, 0, PAGE, WHEN, page, unit));
	assert_false(opens(PAGE, WHEN));
	sealer_destroy(other);
}

/* --- generations --- */

static void no_generation_comes_twice(void **state)
{
	uint64_t first, second;

	(void)state;
	first = sealer_take(sealer, 64);
	second = sealer_take(sealer, 1);
	assert_true(first > 0);
	assert_true(second >= first + 64);
	assert_true(sealer_take(sealer, 1) > second);
}

static void generations_end_before_they_come_back(void **state)
{
	uint64_t end = UINT64_C(1) << SEAL_GENERATION_BITS;

	(void)state;
	atomic_store(&sealer->taken, end - 11);
	assert_int_equal(sealer_take(sealer, 10), end - 10);
	assert_int_equal(sealer_take(sealer, 1), 0);
	assert_int_equal(sealer_take(sealer, 64), 0);
}

struct taker {
	pthread_t thread;
	uint64_t got[10000];
};

static void *take_many(void *arg)
{
	struct taker *taker = arg;

	for (size_t i = 0; i < COUNT(taker->got); i++)
		taker->got[i] = sealer_take(sealer, 3);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void threads_share_no_generation(void **state)
{
	static struct taker takers[2];
	static uint64_t all[2 * COUNT(takers[0].got)];

	(void)state;
	for (int i = 0; i < 2; i++)
		takers[i].thread = thread_start(take_many, &takers[i]);
	for (int i = 0; i < 2; i++) {
		thread_end(takers[i].thread);
		memcpy(all + (size_t)i * COUNT(takers[i].got), takers[i].got,
		       sizeof takers[i].got);
	}
	qsort(all, COUNT(all), sizeof *all, compare);
	for (size_t i = 1; i < COUNT(all); i++)
		assert_true(all[i] >= all[i - 1] + 3);
}

/* --- at start, and while it runs --- */

static void the_other_cipher_has_to_be_clearly_faster(void **state)
{
	(void)state;
	assert_ptr_equal(faster(1000, 1000), &ciphers[0]);
	assert_ptr_equal(faster(1000, 800), &ciphers[0]);
	assert_ptr_equal(faster(1000, 700), &ciphers[1]);
	assert_ptr_equal(faster(700, 1000), &ciphers[0]);
	assert_ptr_equal(faster(UINT64_MAX, 1000), &ciphers[1]);
	assert_ptr_equal(faster(1000, UINT64_MAX), &ciphers[0]);
	assert_null(faster(UINT64_MAX, UINT64_MAX));
	assert_true(sealer_cipher(sealer) == ciphers[0].name ||
		    sealer_cipher(sealer) == ciphers[1].name);
}

/* As under a policy that lets a cipher be set up and refuses its use: this one
 * makes no tag of 16 bytes. */
static void a_cipher_that_refuses_is_not_fast(void **state)
{
	static const struct cipher short_tag = { GNUTLS_CIPHER_AES_256_CCM_8,
						 "short tag" };
	uint8_t key[KEY_BYTES] = { 0 };
	gnutls_aead_cipher_hd_t handle;

	(void)state;
	assert_int_equal(open_cipher(&short_tag, key, &handle), 0);
	gnutls_aead_cipher_deinit(handle);
	assert_true(measure(&ciphers[0], page, unit) < UINT64_MAX);
	assert_true(measure(&short_tag, page, unit) == UINT64_MAX);
}

static void nothing_is_allocated_for_a_page(void **state)
{
	uint64_t before;

	(void)state;
	for (size_t i = 0; i < COUNT(ciphers); i++) {
		uint8_t key[KEY_BYTES] = { 1 };
		struct sealer *one;

		before = atomic_load(&allocations);
		one = create_with(&ciphers[i], key, 1);
		assert_non_null(one);
#ifdef COUNTS_ALLOCATIONS
		/* Its own, and GnuTLS' two or more: the count works. */
		assert_true(atomic_load(&allocations) > before + 1);
#endif
		before = atomic_load(&allocations);
		for (uint64_t n = 1; n < 100; n++) {
			seal_page(one, 0, n, n, page, unit);
			seal_open(one, 0, n, n, unit, back);
			seal_open(one, 0, n, n + 1, unit, back);
		}
		assert_int_equal(atomic_load(&allocations), before);
		sealer_destroy(one);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ciphers_compute_what_others_do),
		cmocka_unit_test(a_unit_is_what_others_make_of_its_nonce),
		cmocka_unit_test_setup_teardown(another_lane_opens_it,
						make_sealer, end_sealer),
		cmocka_unit_test_setup_teardown(every_bit_counts, make_sealer,
						end_sealer),
		cmocka_unit_test_setup_teardown(
			only_its_page_and_its_generation_open_it, make_sealer,
			end_sealer),
		cmocka_unit_test_setup_teardown(each_sealer_has_its_own_key,
						make_sealer, end_sealer),
		cmocka_unit_test_setup_teardown(no_generation_comes_twice,
						make_sealer, end_sealer),
		cmocka_unit_test_setup_teardown(
			generations_end_before_they_come_back, make_sealer,
			end_sealer),
		cmocka_unit_test_setup_teardown(threads_share_no_generation,
						make_sealer, end_sealer),
		cmocka_unit_test_setup_teardown(
			the_other_cipher_has_to_be_clearly_faster, make_sealer,
			end_sealer),
		cmocka_unit_test(a_cipher_that_refuses_is_not_fast),
		cmocka_unit_test_setup_teardown(nothing_is_allocated_for_a_page,
						make_sealer, end_sealer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
