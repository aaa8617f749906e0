/* The kernel's nbd: the front end is an NBD server, and rswapctl hands the
 * kernel connections to it. */
#include <inttypes.h>
#include <stdio.h>

#include "blockdev.h"
#include "clock.h"
#include "driver.h"
#include "module.h"
#include "nbd_netlink.h"
#include "nbddev.h"
#include "nbdexport.h"
#include "nbdrescuer.h"
#include "net.h"
#include "run.h"
#include "times.h"

static bool is_there(struct error *why)
{
	(void)why; /* nbddev_load tells */
	return true;
}

static bool diagnose(struct error *state, const char **remedy)
{
	int count = nbddev_count(), first = nbddev_find_free();

	/* A kernel that has nbd built in may have no module to show. */
	if (count == 0 && module_available("nbd")) {
		error_set(state, "none; module nbd is there, not loaded yet");
		return true;
	}
	if (count == 0) {
		error_set(state, "none, and no module nbd");
		*remedy = "use a kernel that has nbd (Debian's "
			  "linux-image-amd64 does)";
		return false;
	}
	if (first < 0) {
		error_set(state, "all %d are in use", count);
		*remedy = "detach one, or load nbd with a larger nbds_max";
		return false;
	}
	error_set(state, "%d, the first free one is /dev/nbd%d", count, first);
	return true;
}

/* Only without a number the kernel makes one more. */
static bool may_name(int number, struct error *why)
{
	if (nbddev_exists(number))
		return true;
	error_set(why,
		  "/dev/%s does not exist; there are %d nbd devices "
		  "(nbds_max)",
		  nbddev_name(number).text, nbddev_count());
	return false;
}

static int greet(const struct driver_link *link, uint64_t deadline_ns)
{
	struct error ignored;

	return nbdexport_greet(link->socket, deadline_ns, &ignored);
}

/* If the front end serves another size than attach asked for, nbdkit runs
 * another plugin. */
static int hand_over(const struct driver_link *link,
		     const struct nbdexport *export, bool *busy,
		     struct error *why)
{
	const struct nbd_request_connect request = {
		.number = link->number,
		.size_bytes = export->size_bytes,
		.block_bytes = 4096,
		.timeout_s = times_kernel_timeout_s(link->timeout_s),
		.server_flags = export->flags,
		.sockets = export->sockets,
		.n_sockets = export->n_sockets,
		.backend = link->socket,
	};

	if (export->size_bytes != link->size_bytes) {
		error_set(why, "%s serves %" PRIu64 " bytes", link->program,
			  export->size_bytes);
		return -1;
	}
	return nbd_netlink_connect(&request, busy, why);
}

static int connect_once(const struct driver_link *link, unsigned connections,
			uint64_t deadline_ns, bool *busy, struct error *why)
{
	struct nbdexport export;
	int number;

	if (nbdexport_open(link->socket, (int)connections, &export, deadline_ns,
			   why) < 0)
		return -1;
	number = hand_over(link, &export, busy, why);
	nbdexport_close(&export);
	return number;
}

/* The kernel has a queue for each connection, or for each processor if these
 * are fewer. */
static unsigned connections(int number)
{
	return blockdev_queues(nbddev_name(number).text);
}

/* Whether one of N connections gets no replies, as the rescuer is at work
 * elsewhere (nbdrescuer.h). */
static bool lacks_receiver(const struct nbdreceivers *r, unsigned n)
{
	return r->rescuer == NBDRESCUER_BUSY && r->workers + 1 < n;
}

static bool is_cut_off(int number)
{
	struct nbdreceivers r = nbdrescuer_look("/proc", number);

	return lacks_receiver(&r, connections(number));
}

/* Waits until all N connections are served, or one cannot be.  The kernel takes
 * some milliseconds for that, and seconds on a machine that is very slow. */
static bool is_soon_cut_off(int number, unsigned n, uint64_t deadline_ns)
{
	while (clock_left_ns(deadline_ns) && !run_interrupted()) {
		struct nbdreceivers r = nbdrescuer_look("/proc", number);

		if (lacks_receiver(&r, n))
			return true;
		if (r.rescuer == NBDRESCUER_NONE ||
		    r.workers + (r.rescuer == NBDRESCUER_BUSY) >= n)
			return false;
		run_pause(50);
	}
	return false;
}

static int take_back(int number, uint64_t deadline_ns, struct error *why)
{
	if (nbd_netlink_disconnect(number, why) < 0)
		return -1;
	while (!nbddev_is_free(number, why)) {
		if (!clock_left_ns(deadline_ns) || run_interrupted())
			return -1;
		run_pause(50);
	}
	return 0;
}

/* After so many attempts there is one connection, which needs no other. */
#define ATTEMPTS 3

/* There is no second connection later.  The page map dies with the front end,
 * and a new one under the same device would answer zeros.  Until this returns
 * nobody has written to the device. */
static int connect_device(const struct driver_link *link, uint64_t deadline_ns,
			  bool *busy, struct error *why)
{
	for (unsigned attempt = 1;; attempt++) {
		unsigned n = attempt <= ATTEMPTS ? link->connections : 1;
		int number = connect_once(link, n, deadline_ns, busy, why);

		/* the time is for the attempts that may follow too */
		if (number < 0 || n == 1 ||
		    !is_soon_cut_off(number, n,
				     net_turn_deadline(deadline_ns,
						       ATTEMPTS + 2 - attempt)))
			return number;
		printf("  the kernel serves only one of %u connections of "
		       "/dev/%s: connecting again\n",
		       n, nbddev_name(number).text);
		fflush(stdout);
		if (take_back(number, deadline_ns, why) < 0)
			return -1;
	}
}

/* By the connection's name: works also if the kernel's answer to connect was
 * lost. */
static int find(const char *socket, const char *control)
{
	(void)control;
	return nbddev_find_backend(socket);
}

static void identify(int number, char identity[DRIVER_IDENTITY_MAX])
{
	nbddev_backend(number, identity, DRIVER_IDENTITY_MAX);
}

static int sweep(int number, const char *program, struct error *why)
{
	(void)number, (void)program, (void)why;
	return 0;
}

const struct driver driver_nbd = {
	.name = "nbd",
	.prefix = "nbd",
	.numbers = NBDDEV_MAX,
	.swap_ends = true,
	.cut = "as after nbd-client -d",
	.is_there = is_there,
	.diagnose = diagnose,
	.load = nbddev_load,
	.may_name = may_name,
	.is_free = nbddev_is_free,
	.greet = greet,
	.connect = connect_device,
	.find = find,
	.is_connected = nbddev_connected,
	.identify = identify,
	.connections = connections,
	.is_cut_off = is_cut_off,
	.disconnect = nbd_netlink_disconnect,
	.sweep = sweep,
};
