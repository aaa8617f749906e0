/* Base64, as etcd's JSON has keys and values.  Any thread. */
#ifndef RSWAP_ETCD_B64_H
#define RSWAP_ETCD_B64_H

#include <stddef.h>

/* Text that ends with a NUL and that the caller frees, or NULL: memory is
 * short. */
char *b64_encode(const void *bytes, size_t n);

/* The bytes of TEXT and a NUL behind them, which the caller frees; NULL if TEXT
 * is not base64, or memory is short. */
char *b64_decode(const char *text, size_t length, size_t *n);

#endif
