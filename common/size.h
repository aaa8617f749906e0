/* Sizes as people write them: 4096, 64K, 512M, 64G, 2T (powers of 1024). */
#ifndef RSWAP_SIZE_H
#define RSWAP_SIZE_H

#include <stdbool.h>
#include <stdint.h>

/* Parses all of TEXT into *BYTES.  False for anything else than digits and at
 * most one of the letters K M G T (either case), or for what does not fit 63
 * bits; *BYTES is untouched then.  Any thread. */
bool size_parse(const char *text, uint64_t *bytes);

/* Parses all of TEXT as a decimal number from MIN to MAX. */
bool number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *n);

/* The shortest exact form ("64G", "1536M", "4097"), for messages. */
struct size_text {
	char text[24];
};
struct size_text size_format(uint64_t bytes);

#endif
