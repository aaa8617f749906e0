/* Counts of how long requests took, exact to one part in 16.  Any thread may
 * add; what is read meanwhile may lack the last ones. */
#ifndef RSWAP_TORTURE_LATENCY_H
#define RSWAP_TORTURE_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

#define LATENCY_BUCKETS (16 * 62)

struct latency {
	_Atomic uint64_t bucket[LATENCY_BUCKETS];
	_Atomic uint64_t max_ns;
};

static inline unsigned latency_bucket(uint64_t ns)
{
	unsigned log;

	if (ns < 16)
		return (unsigned)ns;
	log = 63 - (unsigned)__builtin_clzll(ns);
	return (log - 3) * 16 + (unsigned)(ns >> (log - 4) & 15);
}

static inline uint64_t latency_bucket_ns(unsigned bucket)
{
	unsigned log = bucket / 16 + 3;

	return bucket < 16 ? bucket : (UINT64_C(16) + bucket % 16) << (log - 4);
}

static inline void latency_add(struct latency *l, uint64_t ns)
{
	uint64_t max = atomic_load(&l->max_ns);

	atomic_fetch_add(&l->bucket[latency_bucket(ns)], 1);
	while (ns > max && !atomic_compare_exchange_weak(&l->max_ns, &max, ns))
		;
}

static inline uint64_t latency_count(const struct latency *l)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += l->bucket[i];
	return n;
}

/* PERCENT of them took no longer, in microseconds; 0 where there is none. */
static inline uint64_t latency_us(const struct latency *l, unsigned percent)
{
	uint64_t wanted = (latency_count(l) * percent + 99) / 100, seen = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS && wanted; i++) {
		seen += l->bucket[i];
		if (seen >= wanted)
			return latency_bucket_ns(i) / 1000;
	}
	return 0;
}

/* Moves all of FROM to the empty TO. */
static inline void latency_take(struct latency *from, struct latency *to)
{
	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		to->bucket[i] = atomic_exchange(&from->bucket[i], 0);
	to->max_ns = atomic_exchange(&from->max_ns, 0);
}

#endif
