/* Requests, as a front end asks for them through engine.h, which has their
 * contracts.  Any thread. */
#ifndef RSWAP_REQUEST_H
#define RSWAP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

struct engine;

int request_read(struct engine *engine, void *buf, uint64_t count,
		 uint64_t offset);
int request_write(struct engine *engine, const void *buf, uint64_t count,
		  uint64_t offset);
void request_discard(struct engine *engine, uint64_t count, uint64_t offset);
uint64_t request_extent(const struct engine *engine, uint64_t count,
			uint64_t offset, bool *absent);

#endif
