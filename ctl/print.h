/* The output of status: the answers of control sockets, laid out for people.
 * What an answer lacks shows as "-". */
#ifndef RSWAPCTL_PRINT_H
#define RSWAPCTL_PRINT_H

#include "devstate.h"
#include "lastlook.h"

struct json_object;

void print_plugin(struct json_object *answer, const char *name,
		  const char *device);
void print_memserver(struct json_object *answer, const char *socket);

/* The line of the scrub that runs, or of the last one; none where there was
 * none.  Of a plugin's STATUS. */
void print_scrub(struct json_object *status);

/* The lines behind a plugin's: new failures, the kernel's side of the device,
 * and (a finding_tell) each fault of the device. */
void print_failures(const struct lastlook *look);
void print_device(const struct devstate *d);
void print_trouble(void *unused, const struct finding *finding);

#endif
