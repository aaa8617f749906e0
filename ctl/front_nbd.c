/* rswap-nbd: one thread for many requests, behind the kernel's nbd device. */
#include "front.h"

static void add_words(const struct front_order *order, struct argvec *args)
{
	argvec_add(args, "-U");
	argvec_add(args, "%s", order->link->socket);
	argvec_add(args, "--pidfile=%s", order->link->pidfile);
}

const struct front front_nbd = {
	.name = "nbd",
	.program = "rswap-nbd",
	.what = "rswap-nbd",
	.ours = true,
	.driver = &driver_nbd,
	.add_words = add_words,
};
