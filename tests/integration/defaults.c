/* What is started where nobody says otherwise (common/concurrency.h), on this
 * machine, or on one with so many processors and so many MiB of memory:
 * "requests lanes connections threads". */
#include <stdio.h>
#include <stdlib.h>

#include "concurrency.h"

int main(int argc, char **argv)
{
	unsigned requests =
		argc > 2 ? concurrency_requests((unsigned)atoi(argv[1]),
						(uint64_t)atoi(argv[2]) << 20)
			 : concurrency_requests_here();
	unsigned threads =
		concurrency_threads(requests, CONCURRENCY_CONNECTIONS);

	printf("%u %u %u %u\n", requests,
	       concurrency_lanes(threads * CONCURRENCY_CONNECTIONS),
	       CONCURRENCY_CONNECTIONS, threads);
	return 0;
}
