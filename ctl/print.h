/* The output of status: the answers of control sockets, laid out for people. */
#ifndef RSWAPCTL_PRINT_H
#define RSWAPCTL_PRINT_H

#include "devstate.h"
#include "lastlook.h"

/* ANSWER is "key value" lines; a key that is missing shows as "-". */
void print_plugin(const char *answer, const char *name, const char *device);
void print_memserver(const char *answer, const char *socket);

/* The lines behind a plugin's: new failures, the kernel's side of the device,
 * and (a devstate_tell) each fault of the device. */
void print_failures(const struct lastlook *look);
void print_device(const struct devstate *d);
void print_trouble(void *unused, enum health health, const char *what,
		   const char *remedy);

#endif
