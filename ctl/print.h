/* What status prints for people: the answers of control sockets, laid out. */
#ifndef RSWAPCTL_PRINT_H
#define RSWAPCTL_PRINT_H

#include "devstate.h"
#include "lastlook.h"

/* ANSWER is "key value" lines; a key that is missing shows as "-". */
void print_plugin(const char *answer, const char *name, const char *device);
void print_memserver(const char *answer, const char *socket);

/* What follows a plugin: failures that are new, the kernel's side of its
 * device, and (a devstate_tell) each thing that is wrong there. */
void print_failures(const struct lastlook *look);
void print_device(const struct devstate *d);
void print_trouble(void *unused, enum health health, const char *what,
		   const char *remedy);

#endif
