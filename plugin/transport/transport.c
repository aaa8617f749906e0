#include "transport.h"

#include <errno.h>

size_t transport_over(const struct xfer *xfers, size_t n)
{
	size_t over = 0;

	for (size_t i = 0; i < n; i++)
		over += xfers[i].status != -EINPROGRESS;
	return over;
}
