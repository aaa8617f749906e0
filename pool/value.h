/* The values of a pool's keys, while they are parsed: each is one JSON object.
 * Anybody who may write in etcd may have written them.  Any thread. */
#ifndef RSWAP_POOL_VALUE_H
#define RSWAP_POOL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

struct json_object;

/* The object that TEXT is, which the caller puts back (json_object_put); NULL
 * if TEXT is none, or is too long. */
struct json_object *value_parse(const char *text);

/* For all that follow: members that are not there are empty or 0.  False if the
 * member NAME is something else than allowed. */

/* Printable ASCII without spaces, as names on the wire are, with its NUL in
 * SIZE bytes. */
bool value_text(struct json_object *object, const char *name, char *text,
		size_t size);
bool value_number(struct json_object *object, const char *name, uint64_t max,
		  uint64_t *n);
/* The member "incarnation", which has to be there. */
bool value_incarnation(struct json_object *object,
		       uint8_t incarnation[WIRE_INCARNATION_BYTES]);

#endif
