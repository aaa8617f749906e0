#include "concurrency.h"

#include <sched.h>
#include <unistd.h>

#define REQUESTS_PER_PROCESSOR 16u
#define REQUESTS_MAX	       32u
#define REQUESTS_MIN	       4u

#define THREADS_MIN 4u

unsigned concurrency_processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof set, &set)
		       ? 1
		       : (unsigned)CPU_COUNT(&set);
}

uint64_t concurrency_memory_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) *
	       (uint64_t)sysconf(_SC_PAGESIZE);
}

static unsigned requests_of_processors(unsigned processors)
{
	unsigned requests = REQUESTS_PER_PROCESSOR * processors;

	if (processors == 0)
		return REQUESTS_PER_PROCESSOR;
	return processors > REQUESTS_MAX / REQUESTS_PER_PROCESSOR ? REQUESTS_MAX
								  : requests;
}

unsigned concurrency_requests(unsigned processors, uint64_t memory_bytes)
{
	unsigned requests = requests_of_processors(processors);
	uint64_t most = memory_bytes / CONCURRENCY_REQUEST_MEMORY_BYTES;

	if (most < REQUESTS_MIN)
		return REQUESTS_MIN;
	return most < requests ? (unsigned)most : requests;
}

unsigned concurrency_requests_here(void)
{
	return concurrency_requests(concurrency_processors(),
				    concurrency_memory_bytes());
}

unsigned concurrency_writes(unsigned lanes)
{
	unsigned for_reads = lanes < 4 ? lanes / 2 : lanes / 4;

	return lanes - for_reads;
}

unsigned concurrency_lanes(unsigned requests)
{
	unsigned lanes = 1;

	while (lanes < CONCURRENCY_LANES_MAX &&
	       concurrency_writes(lanes) < requests)
		lanes++;
	return lanes;
}

unsigned concurrency_threads(unsigned requests, unsigned connections)
{
	unsigned threads = (requests + connections - 1) / connections;

	return threads < THREADS_MIN ? THREADS_MIN : threads;
}
