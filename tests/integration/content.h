/* What the tests write into a page: made from the page's number and a stamp, so
 * that a page found in the wrong place, or from the wrong time, tells so. */
#ifndef RSWAP_TEST_CONTENT_H
#define RSWAP_TEST_CONTENT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PAGE  4096u
#define WORDS (PAGE / sizeof(uint64_t))

/* What a page's bytes are.  SPARSE_ pages test who takes a page for zeros too
 * soon. */
enum content_kind {
	CONTENT_FULL,
	CONTENT_SPARSE_FIRST, /* zeros behind the first word */
	CONTENT_SPARSE_LAST,  /* zeros before the last word */
	CONTENT_KINDS
};

/* Stamp 0 is a page of zeros. */
static inline enum content_kind content_kind(uint64_t stamp)
{
	return stamp % 8 < CONTENT_KINDS ? (enum content_kind)(stamp % 8)
					 : CONTENT_FULL;
}

static inline uint64_t content_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline void content_fill(void *buf, uint64_t page, uint64_t stamp)
{
	uint64_t word[WORDS] = { 0 };

	if (stamp && content_kind(stamp) == CONTENT_FULL) {
		uint64_t x = content_mix(page + 1) ^ stamp;

		word[0] = stamp;
		word[1] = page;
		for (size_t i = 2; i < WORDS; i++)
			word[i] = content_mix(x += 0x9e3779b97f4a7c15u);
	} else if (stamp && content_kind(stamp) == CONTENT_SPARSE_FIRST) {
		word[0] = stamp;
	} else if (stamp) {
		word[WORDS - 1] = stamp;
	}
	memcpy(buf, word, PAGE);
}

static inline int content_is(const void *buf, uint64_t page, uint64_t stamp)
{
	char expected[PAGE];

	content_fill(expected, page, stamp);
	return !memcmp(buf, expected, PAGE);
}

/* Says what is in BUF, as far as it is something that a test has written. */
static inline const char *content_describe(const void *buf, char *text,
					   size_t size)
{
	uint64_t word[WORDS];

	memcpy(word, buf, PAGE);
	if (content_is(buf, 0, 0))
		snprintf(text, size, "zeros");
	else if (word[0] && content_is(buf, word[1], word[0]))
		snprintf(text, size, "page %llu stamp %llu",
			 (unsigned long long)word[1],
			 (unsigned long long)word[0]);
	else if (word[0] && content_is(buf, 0, word[0]))
		snprintf(text, size, "stamp %llu", (unsigned long long)word[0]);
	else if (content_is(buf, 0, word[WORDS - 1]))
		snprintf(text, size, "stamp %llu",
			 (unsigned long long)word[WORDS - 1]);
	else
		snprintf(text, size, "bytes %016llx %016llx ... %016llx",
			 (unsigned long long)word[0],
			 (unsigned long long)word[1],
			 (unsigned long long)word[WORDS - 1]);
	return text;
}

#endif
