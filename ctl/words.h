/* Numbers, rounded for people. */
#ifndef RSWAPCTL_WORDS_H
#define RSWAPCTL_WORDS_H

#include <stdint.h>

struct word {
	char text[48];
};

/* "64 GiB", "1.5 GiB", "12 B" */
struct word words_bytes(uint64_t bytes);
/* "45 s", "3 min 20 s", "2 h 5 min", "3 days 4 h" */
struct word words_span(uint64_t s);
/* "0.4 s ago", and from a minute on as words_span has it. */
struct word words_ago(uint64_t ms);
/* A time that a request takes: "23 us", "1.2 ms", "2.5 s" */
struct word words_latency(double us);

#endif
