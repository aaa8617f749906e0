/* From a member of a struct to the struct. */
#ifndef RSWAP_MEMSERVER_CONTAINER_H
#define RSWAP_MEMSERVER_CONTAINER_H

#include <stddef.h>

#define container_of(ptr, type, member)                                        \
	((type *)((char *)(ptr)-offsetof(type, member)))

#endif
