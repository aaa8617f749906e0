#include "value.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PART_WORDS (PAGE / PARTS / sizeof(uint64_t))
#define STEP	   0x9e3779b97f4a7c15u

/* What a part says of itself; FOUND_STAMP here is of any page. */
struct part {
	enum found_kind kind;
	uint64_t page, stamp;
};

uint64_t value_mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

/* The first word is never 0, as a stamp isn't; the second hides the page
 * number, so that no two seeds have a page in common. */
static void fill_part(uint64_t *word, uint64_t page, uint64_t stamp,
		      uint64_t seed, uint64_t part)
{
	uint64_t x = value_mix(seed + part + 1);

	word[0] = stamp;
	word[1] = page ^ x;
	x = value_mix(value_mix(x) + page) ^ stamp;
	for (size_t i = 2; i < PART_WORDS; i++)
		word[i] = value_mix(x += STEP);
}

void value_fill(void *buf, uint64_t page, uint64_t stamp, uint64_t seed)
{
	uint64_t word[PART_WORDS];

	if (stamp == 0) {
		memset(buf, 0, PAGE);
		return;
	}
	for (uint64_t i = 0; i < PARTS; i++) {
		fill_part(word, page, stamp, seed, i);
		memcpy((char *)buf + i * sizeof word, word, sizeof word);
	}
}

static struct part find_part(const char *buf, uint64_t page, uint64_t seed,
			     uint64_t i)
{
	static const uint64_t zeros[PART_WORDS];
	uint64_t word[PART_WORDS], expected[PART_WORDS];
	struct part part = { .kind = FOUND_STAMP, .page = page };

	memcpy(word, buf + i * sizeof word, sizeof word);
	if (!memcmp(word, zeros, sizeof word))
		return part;
	part.stamp = word[0];
	part.page = word[1] ^ value_mix(seed + i + 1);
	fill_part(expected, part.page, part.stamp, seed, i);
	if (!part.stamp || memcmp(word, expected, sizeof word))
		part.kind = FOUND_GARBAGE;
	return part;
}

static bool same(const struct part *a, const struct part *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == FOUND_GARBAGE ||
	       (a->page == b->page && a->stamp == b->stamp);
}

struct found value_find(const void *buf, uint64_t page, uint64_t seed)
{
	struct part first = find_part(buf, page, seed, 0);
	struct found found = { .kind = first.kind,
			       .page = first.page,
			       .stamp = first.stamp,
			       .parts = 1 };

	if (first.kind == FOUND_STAMP && first.page != page)
		found.kind = FOUND_FOREIGN;
	for (uint64_t i = 1; i < PARTS; i++) {
		struct part part = find_part(buf, page, seed, i);

		if (same(&part, &first)) {
			found.parts |= 1u << i;
		} else if (found.kind != FOUND_TORN) {
			found.kind = FOUND_TORN;
			found.other = part.kind == FOUND_STAMP ? part.stamp
							       : UINT64_MAX;
		}
	}
	return found;
}

static const char *describe_torn(const struct found *found, char *text,
				 size_t size)
{
	char map[PARTS + 1] = "";
	char other[32] = "nothing that was written";

	for (unsigned i = 0; i < PARTS; i++)
		map[i] = found->parts & 1u << i ? 'A' : 'B';
	if (found->other != UINT64_MAX)
		snprintf(other, sizeof other, "stamp %" PRIu64, found->other);
	snprintf(text, size, "torn: %s, A is stamp %" PRIu64 ", B is %s", map,
		 found->stamp, other);
	return text;
}

const char *value_describe(const struct found *found, char *text, size_t size)
{
	switch (found->kind) {
	case FOUND_STAMP:
		if (found->stamp)
			snprintf(text, size, "stamp %" PRIu64, found->stamp);
		else
			snprintf(text, size, "zeros");
		return text;
	case FOUND_FOREIGN:
		snprintf(text, size, "page %" PRIu64 " stamp %" PRIu64,
			 found->page, found->stamp);
		return text;
	case FOUND_TORN:
		return describe_torn(found, text, size);
	default:
		snprintf(text, size, "nothing that was written");
		return text;
	}
}
