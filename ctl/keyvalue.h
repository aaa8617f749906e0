/* Lines "key value", as the files of the state directory have them. */
#ifndef RSWAPCTL_KEYVALUE_H
#define RSWAPCTL_KEYVALUE_H

#include <stddef.h>

/* The value of KEY in TEXT, or NULL.  VALUE (SIZE bytes) takes a copy. */
const char *keyvalue_get(const char *text, const char *key, char *value,
			 size_t size);

#endif
