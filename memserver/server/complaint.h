/* When to log that etcd does not tell something, while it answers the
 * registration: once, and not while the registration says that etcd is away.
 * One thread uses it. */
#ifndef RSWAP_COMPLAINT_H
#define RSWAP_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

struct complaint {
	/* When it failed first; 0: it does not fail. */
	uint64_t since_ns;
	bool is_made;
};

/* It has failed with RC, an error of etcd.h.  True: it is to be logged now. */
bool complaint_is_due(struct complaint *complaint, int rc);
/* It works. */
void complaint_end(struct complaint *complaint);
/* The registration fails, and tells that: what fails as well may have the same
 * cause. */
void complaint_put_off(struct complaint *complaint);

#endif
