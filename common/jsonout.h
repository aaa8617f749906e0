/* Writing JSON (RFC 8259) to a stream, member by member.  It keeps nothing and
 * allocates nothing: a library that builds values in memory would grow the heap
 * of a program that a machine swaps through.  Whoever reads uses json-c.
 *
 *   struct jsonout j = { .out = out };
 *
 *   jsonout_begin(&j, NULL, '{');
 *   jsonout_text(&j, "state", "up");
 *   jsonout_begin(&j, "ports", '[');
 *   jsonout_number(&j, NULL, 10909);
 *   jsonout_end(&j, ']');
 *   jsonout_end(&j, '}');
 *
 * KEY is NULL in an array and for the whole document.  Errors of the stream are
 * the caller's to look for, at the end. */
#ifndef RSWAP_JSONOUT_H
#define RSWAP_JSONOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct jsonout {
	FILE *out;
	bool more; /* a comma comes before the next member */
};

/* WHAT is '{' or '['; '}' or ']'. */
void jsonout_begin(struct jsonout *j, const char *key, char what);
void jsonout_end(struct jsonout *j, char what);

void jsonout_number(struct jsonout *j, const char *key, uint64_t value);
/* With three digits behind the point; VALUE is finite. */
void jsonout_real(struct jsonout *j, const char *key, double value);
void jsonout_bool(struct jsonout *j, const char *key, bool value);
void jsonout_null(struct jsonout *j, const char *key);
/* Bytes that are not UTF-8 become U+FFFD. */
void jsonout_text(struct jsonout *j, const char *key, const char *text);
void jsonout_hex(struct jsonout *j, const char *key, const uint8_t *bytes,
		 size_t n);

#endif
