/* rswap-ublk: a block device of the kernel's ublk driver, which is the page
 * engine.  Each queue of the device has a thread (queues.h).  The main thread
 * makes and ends the device. */
#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "control.h"
#include "engine.h"
#include "log.h"
#include "options.h"
#include "queues.h"
#include "service/blockdev.h"
#include "service/heartbeat.h"
#include "service/lifecycle.h"
#include "service/program.h"
#include "service/safety.h"
#include "service/service.h"

#define PROGRAM "rswap-ublk"

/* The engine's and the sessions' small allocations. */
#define HEAP_BYTES (1u << 20)

/* How often it looks whether the device is still in use, when it is to end. */
#define LOOK_NS (200 * NS_PER_MS)

static struct service service;
static struct control control;
static struct queues queues;
static sem_t news;	    /* for the main thread */
static atomic_bool ended;   /* no more clients, and a signal came */
static atomic_bool refused; /* the kernel did not take an answer */
static bool counted;	    /* the device is a client (lifecycle.h) */

/* Any thread. */
static void tell_main(void)
{
	sem_post(&news);
}

/* Any thread. */
static void shut_down(void)
{
	atomic_store(&ended, true);
	tell_main();
}

/* Any thread. */
static void refuse(void)
{
	atomic_store(&refused, true);
	tell_main();
}

static void release(void)
{
	if (counted)
		lifecycle_client_closed();
	counted = false;
}

/* --- the end --- */

/* Sleeps until there are news, or, once it was asked to end, for LOOK_NS. */
static void await_news(void)
{
	struct timespec until;

	if (!lifecycle_asked_ns()) {
		sem_wait(&news);
		return;
	}
	until = clock_timespec(clock_now_ns() + LOOK_NS);
	sem_clockwait(&news, CLOCK_MONOTONIC, &until);
}

/* The driver does not tell when the device is opened and closed.  What would
 * lose pages (swap, a mounted file system, a device mapper) claims the device,
 * and then nobody else can. */
static void release_if_unused(bool *told)
{
	struct error why;

	if (control_claim(&control, &why)) {
		release();
	} else if (!*told) {
		*told = true;
		log_notice("asked to end while %s is in use (%s), whose pages "
			   "would be lost: waiting for swapoff; SIGTERM again "
			   "ends at once",
			   control.block_path, why.text);
	}
}

/* Until the device is to end: EXIT_SUCCESS, or EXIT_FAILURE where it has ended
 * by itself. */
static int await_end(void)
{
	bool told = false;

	while (!atomic_load(&ended)) {
		if (atomic_load(&refused))
			return EXIT_FAILURE;
		if (queues_any_ended(&queues)) {
			log_error("the kernel has ended %s",
				  control.block_path);
			return EXIT_FAILURE;
		}
		if (lifecycle_asked_ns() && counted)
			release_if_unused(&told);
		if (!atomic_load(&ended))
			await_news();
	}
	return EXIT_SUCCESS;
}

/* --- the device --- */

static int make_device(const struct options *options, struct error *why)
{
	const struct control_shape shape = {
		.id = options->id,
		.queues = options->queues,
		.depth = options->depth,
		.size_bytes = service.config.engine.size_bytes,
	};
	const struct queues_config queues_config = {
		.engine = &service.engine,
		.control = &control,
		.size_bytes = shape.size_bytes,
		.turn = heartbeat_turn,
		.ended = tell_main,
		.refused = refuse,
	};
	int rc = control_add(&control, &shape, why);

	if (!rc)
		rc = queues_start(&queues, &queues_config, why);
	return rc;
}

/* Also where it was not started, or only in part.  False if it goes on, and its
 * threads with it: the kernel ends it when this process ends. */
static bool end_device(bool started)
{
	struct error why;

	/* STOP_DEV would wait for the answer that the kernel did not take. */
	if (started && atomic_load(&refused)) {
		log_error("ending this process, and %s with it: a request "
			  "would wait for ever",
			  control.block_path);
		return false;
	}
	if (started && !control_stop(&control, &why)) {
		log_error("%s", why.text);
		return false;
	}
	queues_end(&queues, !started);
	if (control.added && !control_delete(&control, &why))
		log_error("%s", why.text);
	return true;
}

/* *GOES_ON: the device has not ended. */
static int serve(const struct options *options, bool *goes_on)
{
	struct error why;
	int status = EXIT_FAILURE;

	if (make_device(options, &why)) {
		log_error("%s", why.text);
		end_device(false);
		return status;
	}
	counted = lifecycle_client_opens();
	if (control_start(&control, &why)) {
		log_error("%s", why.text);
	} else if (program_write_pidfile(options->pidfile, &why)) {
		log_error("%s", why.text);
	} else {
		blockdev_tell(control.block_path);
		service_tell(&service);
		log_notice("the device is %s", control.block_path);
		status = await_end();
	}
	*goes_on = !end_device(true);
	if (!*goes_on)
		release();
	return status;
}

static int run(const struct options *options)
{
	const struct service_front front = { .shut_down = shut_down,
					     .asked = tell_main,
					     .heap_bytes = HEAP_BYTES,
					     .no_handlers = true };
	struct error why;
	int status = EXIT_FAILURE;
	bool goes_on = false;

	if (control_open(&control, &why) || service_probe(&service, &why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	heartbeat_start();
	if (!service_start(&service, &front))
		status = serve(options, &goes_on);
	if (options->pidfile)
		unlink(options->pidfile);
	if (goes_on)
		service_leave(&service, status);
	control_close(&control);
	service_stop(&service);
	return status;
}

static int delete_left(uint32_t id)
{
	struct error why;
	int rc = control_open(&control, &why);

	if (!rc)
		rc = control_delete_left(&control, id, &why);
	if (rc)
		log_error("%s", why.text);
	control_close(&control);
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct options options;
	struct cmdline_error why;
	enum cmdline_verdict verdict;
	int status;

	program_log(PROGRAM);
	verdict = options_parse(argc, argv, &options, &service.config, &why);
	if (!cmdline_runs(PROGRAM, verdict, options_help, &why, &status))
		return status;
	if (options.delete)
		return delete_left(options.id);
	sem_init(&news, 0, 0);
	safety_prepare();
	return run(&options);
}
