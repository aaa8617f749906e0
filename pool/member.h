/* What a memory server says of itself in a pool: the value of its key, one JSON
 * object.  docs/pool.md explains the members.  Any thread. */
#ifndef RSWAP_POOL_MEMBER_H
#define RSWAP_POOL_MEMBER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "clock.h"
#include "error.h"
#include "net.h"
#include "wire.h"

#define MEMBER_STATE_BYTES   16
#define MEMBER_VERSION_BYTES 32
#define MEMBER_HELD_UNKNOWN  UINT32_MAX

/* A server puts its key again after so long if something but its state has
 * changed: a store that all servers write to must not be written to all the
 * time. */
#define MEMBER_CHANGED_NS (12 * NS_PER_S)
/* And after so long also if nothing has changed: somebody may have deleted the
 * key. */
#define MEMBER_UNCHANGED_NS (60 * NS_PER_S)

struct member {
	struct net_name address;    /* which clients connect to */
	uint32_t transports;	    /* bits, as WELCOME has them */
	char zone[WIRE_ZONE_BYTES]; /* may be empty */
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
	char state[MEMBER_STATE_BYTES]; /* "serving" and so on */
	uint64_t slab_bytes;
	uint64_t memory_bytes; /* that it grants at most */
	uint64_t free_bytes;   /* of these: nobody has or has reserved them */
	uint64_t unreserved_bytes; /* in use or guaranteed, and not reserved */
	uint32_t held_slabs; /* that sessions have, or MEMBER_HELD_UNKNOWN */
	uint32_t sessions;
	uint32_t load_permille; /* of its machine's processors' time */
	char version[MEMBER_VERSION_BYTES];
};

void member_write(const struct member *member, FILE *out);

/* Parses VALUE, which is the value of the key that ends with ADDRESS.  0, or a
 * negative errno with WHY.  Members that it does not know are skipped: a later
 * version may have more. */
int member_parse(const char *address, const char *value, struct member *member,
		 struct error *why);

/* Whether it is to be emptied, and so grants nothing, whatever is reserved
 * there. */
bool member_drains(const struct member *member);

#endif
