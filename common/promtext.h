/* Writing the text format of Prometheus (version 0.0.4) to a stream.  It keeps
 * nothing and allocates nothing.
 *
 *   struct promtext p = { .out = out };
 *
 *   promtext_family(&p, "rswap_request_bytes_total", "counter",
 *                   "Bytes of requests.");
 *   promtext_label(&p, "op", "read");
 *   promtext_integer(&p, 4096);
 *   promtext_label(&p, "op", "write");
 *   promtext_integer(&p, 8192);
 *
 * A value ends a sample: the labels that stand before it are the sample's.
 * Samples belong to the family that was begun last.  Each family is begun once,
 * even if it has no sample.  Errors of the stream are the caller's to look for,
 * at the end. */
#ifndef RSWAP_PROMTEXT_H
#define RSWAP_PROMTEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define PROMTEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
/* All labels of a sample, as they are written.  Labels beyond that are left
 * out. */
#define PROMTEXT_LABELS_BYTES 512

struct promtext {
	FILE *out;
	const char *name; /* of the family */
	char labels[PROMTEXT_LABELS_BYTES];
	size_t labels_bytes;
};

/* NAME must outlive the family.  TYPE is "counter", "gauge" or "histogram".
 * HELP is one line, without a backslash. */
void promtext_family(struct promtext *p, const char *name, const char *type,
		     const char *help);

/* What is no printable ASCII in VALUE is written as "?". */
void promtext_label(struct promtext *p, const char *key, const char *value);

void promtext_integer(struct promtext *p, uint64_t value);
/* NS, a time, in seconds. */
void promtext_seconds(struct promtext *p, uint64_t ns);

/* A histogram: its buckets, from the shortest to the longest, then its sum and
 * count.  COUNT is of all times up to END_NS, or of all if that is UINT64_MAX,
 * as in the last bucket of each histogram.  The labels stay until
 * promtext_histogram_end. */
void promtext_bucket(struct promtext *p, uint64_t end_ns, uint64_t count);
void promtext_histogram_end(struct promtext *p, uint64_t sum_ns,
			    uint64_t count);

/* A family of one sample without labels. */
void promtext_counter(struct promtext *p, const char *name, const char *help,
		      uint64_t value);
void promtext_gauge(struct promtext *p, const char *name, const char *help,
		    uint64_t value);

/* The families that each program has: what it is, and since when it serves, in
 * ns of Unix time. */
void promtext_program(struct promtext *p, const char *role,
		      uint64_t start_time_ns);

#endif
