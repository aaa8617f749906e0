/* rswap-ublk: many requests on a thread, as a device of the kernel's ublk
 * driver. */
#include "front.h"

static void add_words(const struct front_order *order, struct argvec *args)
{
	if (order->link->number >= 0)
		argvec_add(args, "--id=%d", order->link->number);
	argvec_add(args, "--pidfile=%s", order->link->pidfile);
}

const struct front front_ublk = {
	.name = "ublk",
	.program = "rswap-ublk",
	.what = "rswap-ublk",
	.ours = true,
	.driver = &driver_ublk,
	.add_words = add_words,
};
