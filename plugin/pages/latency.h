/* A histogram of times.  Its buckets grow with the time (log-linear): each
 * power of two is divided into LATENCY_PARTS buckets, so a bucket is at most a
 * quarter as wide as its times.
 *
 * One thread at a time adds, the holder of the lane (pages/lane.h), and any
 * thread may read meanwhile.  So adding takes no lock and no atomic operation
 * but plain loads and stores, in cache lines that no other thread writes. */
#ifndef RSWAP_LATENCY_H
#define RSWAP_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

/* Shorter times share the first bucket: 1.024 us. */
#define LATENCY_MIN_BITS 10
/* Longer times share the last bucket: 1,100 s, longer than any request. */
#define LATENCY_MAX_BITS 40
#define LATENCY_PARTS	 4u
#define LATENCY_BUCKETS                                                        \
	(2u + (LATENCY_MAX_BITS - LATENCY_MIN_BITS) * LATENCY_PARTS)

struct latency {
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t buckets[LATENCY_BUCKETS];
};

/* The sum of some histograms. */
struct latency_sum {
	uint64_t count, sum_ns;
	uint64_t buckets[LATENCY_BUCKETS];
};

/* The bucket of a time. */
static inline uint32_t latency_bucket(uint64_t ns)
{
	uint32_t bits;

	if (ns < UINT64_C(1) << LATENCY_MIN_BITS)
		return 0;
	bits = 63u - (uint32_t)__builtin_clzll(ns);
	if (bits >= LATENCY_MAX_BITS)
		return LATENCY_BUCKETS - 1;
	return 1 + (bits - LATENCY_MIN_BITS) * LATENCY_PARTS +
	       (uint32_t)(ns >> (bits - 2) & (LATENCY_PARTS - 1));
}

/* The time at which BUCKET ends and the next bucket begins; UINT64_MAX for the
 * last bucket. */
uint64_t latency_bucket_end_ns(uint32_t bucket);

/* For a counter that one thread at a time adds to. */
static inline void latency_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(
		counter,
		atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

static inline void latency_add(struct latency *latency, uint64_t ns)
{
	latency_count(&latency->sum_ns, ns);
	latency_count(&latency->buckets[latency_bucket(ns)], 1);
}

/* Makes it empty.  No thread adds to it. */
void latency_forget(struct latency *latency);

/* Adds LATENCY to SUM. */
void latency_sum_up(struct latency_sum *sum, const struct latency *latency);

/* What SUM has more than it had at EARLIER. */
void latency_subtract(struct latency_sum *sum,
		      const struct latency_sum *earlier);

/* The time that a part PER_MILLE of all times do not exceed, estimated within
 * its bucket; 0 where SUM is empty. */
uint64_t latency_quantile_ns(const struct latency_sum *sum, uint32_t per_mille);

#endif
