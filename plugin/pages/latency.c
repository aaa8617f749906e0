#include "latency.h"

uint64_t latency_bucket_end_ns(uint32_t bucket)
{
	uint32_t octave = (bucket - 1) / LATENCY_PARTS;
	uint64_t parts = LATENCY_PARTS + (bucket - 1) % LATENCY_PARTS + 1;

	if (bucket == 0)
		return UINT64_C(1) << LATENCY_MIN_BITS;
	if (bucket >= LATENCY_BUCKETS - 1)
		return UINT64_MAX;
	return parts << (octave + LATENCY_MIN_BITS - 2);
}

void latency_sum_up(struct latency_sum *sum, const struct latency *latency)
{
	sum->sum_ns +=
		atomic_load_explicit(&latency->sum_ns, memory_order_relaxed);
	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t n = atomic_load_explicit(&latency->buckets[i],
						  memory_order_relaxed);

		sum->buckets[i] += n;
		sum->count += n;
	}
}

void latency_forget(struct latency *latency)
{
	atomic_store_explicit(&latency->sum_ns, 0, memory_order_relaxed);
	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
		atomic_store_explicit(&latency->buckets[i], 0,
				      memory_order_relaxed);
}

void latency_subtract(struct latency_sum *sum,
		      const struct latency_sum *earlier)
{
	sum->count -= earlier->count;
	sum->sum_ns -= earlier->sum_ns;
	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++)
		sum->buckets[i] -= earlier->buckets[i];
}

/* Within the bucket the times are taken to be spread evenly. */
uint64_t latency_quantile_ns(const struct latency_sum *sum, uint32_t per_mille)
{
	/* the number of the time that is looked for, from 1 */
	uint64_t wanted = (sum->count * per_mille + 999) / 1000;
	uint64_t below = 0;

	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t n = sum->buckets[i];
		uint64_t begin_ns = i ? latency_bucket_end_ns(i - 1) : 0;
		uint64_t end_ns = latency_bucket_end_ns(i);

		if (n == 0 || below + n < wanted) {
			below += n;
			continue;
		}
		if (end_ns == UINT64_MAX) /* it has no end */
			return begin_ns;
		return begin_ns +
		       (uint64_t)((double)(end_ns - begin_ns) *
				  (double)(wanted - below) / (double)n);
	}
	return 0;
}
