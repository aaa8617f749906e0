/* The values of a pool's keys: each is one JSON object.  Taking members out of
 * one, for the parsers of the values.  Any thread. */
#ifndef RSWAP_POOL_VALUE_H
#define RSWAP_POOL_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* The object that TEXT is, which the caller gives back with json_object_put.
 * NULL: it is none, or it is too long or too deep. */
struct json_object *value_parse(const char *text);

/* The text of a member, which is printable ASCII without spaces, as names on
 * the wire are; "" where there is no such member.  False: it is something
 * else, or too long. */
bool value_take_text(struct json_object *object, const char *name, char *text,
		     size_t size);

/* A number of at most MAX; 0 where there is no such member.  False: it is
 * something else. */
bool value_take_number(struct json_object *object, const char *name,
		       uint64_t max, uint64_t *n);

#endif
