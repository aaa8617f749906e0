#include "seal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <gnutls/crypto.h>

#include "clock.h"

#define KEY_BYTES   32u
#define NONCE_BYTES 12u

/* How often each cipher is measured, and with how many pages.  The shortest
 * time counts, as nothing but the cipher makes it short. */
#define MEASURE_ROUNDS 5u
#define MEASURE_PAGES  16u

static const struct cipher {
	gnutls_cipher_algorithm_t algorithm;
	const char *name;
} ciphers[] = {
	{ GNUTLS_CIPHER_AES_256_GCM, "aes-256-gcm" },
	{ GNUTLS_CIPHER_CHACHA20_POLY1305, "chacha20-poly1305" },
};

struct sealer {
	const struct cipher *cipher;
	_Atomic uint64_t taken; /* generations */
	uint32_t lanes;
	gnutls_aead_cipher_hd_t handles[]; /* [lanes] */
};

/* --- one cipher --- */

static int open_cipher(const struct cipher *cipher, uint8_t *key,
		       gnutls_aead_cipher_hd_t *handle)
{
	gnutls_datum_t datum = { .data = key, .size = KEY_BYTES };

	return gnutls_aead_cipher_init(handle, cipher->algorithm, &datum);
}

/* UNIT gets N bytes and the tag. */
static bool encrypt(gnutls_aead_cipher_hd_t handle, const uint8_t *nonce,
		    const uint8_t *bytes, size_t n, uint8_t *unit)
{
	size_t made = n + SEAL_TAG_BYTES;

	return gnutls_aead_cipher_encrypt(handle, nonce, NONCE_BYTES, NULL, 0,
					  SEAL_TAG_BYTES, bytes, n, unit,
					  &made) == 0;
}

static bool decrypt(gnutls_aead_cipher_hd_t handle, const uint8_t *nonce,
		    const uint8_t *unit, size_t n, uint8_t *bytes)
{
	size_t made = n;

	return gnutls_aead_cipher_decrypt(
		       handle, nonce, NONCE_BYTES, NULL, 0, SEAL_TAG_BYTES,
		       unit, n + SEAL_TAG_BYTES, bytes, &made) == 0;
}

/* --- which cipher --- */

/* Seals MEASURE_PAGES times.  False where GnuTLS refuses. */
static bool seal_some(gnutls_aead_cipher_hd_t handle, const uint8_t *page,
		      uint8_t *unit)
{
	static const uint8_t nonce[NONCE_BYTES];

	for (uint32_t i = 0; i < MEASURE_PAGES; i++) {
		if (!encrypt(handle, nonce, page, PAGE_BYTES, unit))
			return false;
	}
	return true;
}

/* How long CIPHER takes for MEASURE_PAGES; UINT64_MAX where this machine does
 * not have the cipher, or its policy forbids it.  A refusal must not count as a
 * short time.  With a key of its own, as nonces come back here. */
static uint64_t measure(const struct cipher *cipher, const uint8_t *page,
			uint8_t *unit)
{
	uint8_t key[KEY_BYTES] = { 0 };
	gnutls_aead_cipher_hd_t handle;
	uint64_t best_ns = UINT64_MAX;

	if (open_cipher(cipher, key, &handle))
		return UINT64_MAX;
	for (uint32_t round = 0; round < MEASURE_ROUNDS; round++) {
		uint64_t begin_ns = clock_now_ns(), ns;

		ns = seal_some(handle, page, unit) ? clock_now_ns() - begin_ns
						   : UINT64_MAX;
		if (ns < best_ns)
			best_ns = ns;
	}
	gnutls_aead_cipher_deinit(handle);
	return best_ns;
}

/* The cipher to use, given what ciphers[0] and ciphers[1] take; NULL where
 * there is none. */
static const struct cipher *faster(uint64_t first_ns, uint64_t second_ns)
{
	if (first_ns == UINT64_MAX && second_ns == UINT64_MAX)
		return NULL;
	return second_ns < first_ns - first_ns / 4 ? &ciphers[1] : &ciphers[0];
}

static const struct cipher *choose(void)
{
	uint8_t *page = calloc(1, PAGE_BYTES + SEAL_UNIT_BYTES);
	const struct cipher *cipher = NULL;

	if (page)
		cipher = faster(measure(&ciphers[0], page, page + PAGE_BYTES),
				measure(&ciphers[1], page, page + PAGE_BYTES));
	free(page);
	return cipher;
}

/* --- the sealer --- */

static struct sealer *create_with(const struct cipher *cipher, uint8_t *key,
				  uint32_t lanes)
{
	struct sealer *sealer =
		calloc(1, sizeof *sealer + lanes * sizeof *sealer->handles);

	if (!sealer)
		return NULL;
	sealer->cipher = cipher;
	for (; sealer->lanes < lanes; sealer->lanes++) {
		if (open_cipher(cipher, key, &sealer->handles[sealer->lanes])) {
			sealer_destroy(sealer);
			return NULL;
		}
	}
	return sealer;
}

int sealer_create(struct sealer **sealer, uint32_t lanes, struct error *why)
{
	const struct cipher *cipher = choose();
	uint8_t key[KEY_BYTES];

	if (!cipher) {
		error_set(why, "GnuTLS has neither AES-256-GCM nor "
			       "ChaCha20-Poly1305");
		return -ENOTSUP;
	}
	/* Up to 256 bytes come whole and without an interruption, once the
	 * kernel has random bytes at all. */
	if (getrandom(key, sizeof key, 0) != sizeof key) {
		int rc = -errno;

		error_set(why, "a random key: %s", strerror(-rc));
		return rc;
	}
	*sealer = create_with(cipher, key, lanes);
	explicit_bzero(key, sizeof key);
	if (*sealer)
		return 0;
	error_set(why, "no memory for %u ciphers", lanes);
	return -ENOMEM;
}

void sealer_destroy(struct sealer *sealer)
{
	/* GnuTLS zeroes what it made of the key. */
	for (uint32_t i = 0; sealer && i < sealer->lanes; i++)
		gnutls_aead_cipher_deinit(sealer->handles[i]);
	free(sealer);
}

const char *sealer_cipher(const struct sealer *sealer)
{
	return sealer->cipher->name;
}

uint64_t sealer_take(struct sealer *sealer, uint32_t n)
{
	uint64_t first = atomic_fetch_add_explicit(&sealer->taken, n,
						   memory_order_relaxed) +
			 1;

	return first + n > UINT64_C(1) << SEAL_GENERATION_BITS ? 0 : first;
}

/* --- pages --- */

static void put_little_endian(uint8_t *to, uint64_t number, uint32_t bits)
{
	for (uint32_t i = 0; i < bits / 8; i++)
		to[i] = (uint8_t)(number >> 8 * i);
}

static void make_nonce(uint8_t *nonce, uint64_t page, uint64_t generation)
{
	memset(nonce, 0, NONCE_BYTES);
	put_little_endian(nonce, page, SEAL_PAGE_BITS);
	put_little_endian(nonce + SEAL_PAGE_BITS / 8, generation,
			  SEAL_GENERATION_BITS);
}

bool seal_page(const struct sealer *sealer, uint32_t lane, uint64_t page,
	       uint64_t generation, const uint8_t *bytes, uint8_t *unit)
{
	uint8_t nonce[NONCE_BYTES];

	make_nonce(nonce, page, generation);
	return encrypt(sealer->handles[lane], nonce, bytes, PAGE_BYTES, unit);
}

bool seal_open(const struct sealer *sealer, uint32_t lane, uint64_t page,
	       uint64_t generation, const uint8_t *unit, uint8_t *bytes)
{
	uint8_t nonce[NONCE_BYTES];

	make_nonce(nonce, page, generation);
	return decrypt(sealer->handles[lane], nonce, unit, PAGE_BYTES, bytes);
}
