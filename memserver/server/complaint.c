#include "complaint.h"

#include <errno.h>

#include "clock.h"

/* The registration has noticed by then where etcd is away: its next word may be
 * 2.25 seconds away, behind two lists of 2 seconds, and has 5 seconds to be
 * answered. */
#define SURE_NS (15 * NS_PER_S)

/* An etcd that answers so is not away. */
static bool is_refusal(int rc)
{
	return rc == -EACCES || rc == -EREMOTEIO || rc == -EMSGSIZE;
}

bool complaint_is_due(struct complaint *complaint, int rc)
{
	uint64_t now_ns = clock_now_ns();

	if (rc == -ECANCELED)
		return false;
	if (!complaint->since_ns)
		complaint->since_ns = now_ns;
	if (complaint->is_made ||
	    (!is_refusal(rc) && now_ns - complaint->since_ns < SURE_NS))
		return false;
	complaint->is_made = true;
	return true;
}

void complaint_end(struct complaint *complaint)
{
	*complaint = (struct complaint){ .is_made = false };
}

void complaint_put_off(struct complaint *complaint)
{
	complaint->since_ns = 0;
}
