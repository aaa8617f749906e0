/* A size as an expression of this machine's memory: "ram / 2", "min(ram, 64G)",
 * "(ram - 2G) * 0.75".
 *
 *   sum     = product { ("+" | "-") product }
 *   product = value { ("*" | "/") value }
 *   value   = number [ K | M | G | T ] | "ram"
 *           | ("min" | "max") "(" sum { "," sum } ")" | "(" sum ")"
 */
#ifndef RSWAPCTL_SIZEEXPR_H
#define RSWAPCTL_SIZEEXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* Parses all of TEXT into *BYTES.  A size that is no expression is taken as it
 * is; the value of an expression is rounded down to a MiB.  False with WHY, a
 * few words about what is wrong, for anything else, and for what is below 0 or
 * does not fit 63 bits.  Any thread. */
bool sizeexpr_parse(const char *text, uint64_t ram_bytes, uint64_t *bytes,
		    struct error *why);

#endif
