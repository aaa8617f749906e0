/* rswap-nbd: an NBD server for one device, which is the page engine.  One
 * thread serves all clients (loop/loop.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine.h"
#include "listener.h"
#include "log.h"
#include "net.h"
#include "options.h"
#include "service/heartbeat.h"
#include "service/lifecycle.h"
#include "service/program.h"
#include "service/safety.h"
#include "service/service.h"

#define PROGRAM "rswap-nbd"

/* For the small allocations of the slots, the engine and the sessions.  Clients
 * take nothing of it (mapper.h). */
#define HEAP_BYTES (256u << 10)

static struct service service;
static struct loop loop;
static struct mapper mapper;
static struct slots slots;
static struct listener listener;
static struct host host;

/* Any thread. */
static void shut_down(void)
{
	loop_end(&loop);
}

static int make_loop(struct error *why)
{
	const struct engine_config *config = &service.config.engine;
	uint64_t spin_ns =
		service.config.spin_auto ? PATIENCE_MAX_NS : config->spin_ns;
	const struct loop_config loop_config = { .engine = &service.engine,
						 .spin_ns = spin_ns,
						 .turn = heartbeat_turn };
	int rc = slots_create(&slots, config->lanes, &mapper, why);

	return rc ? rc : loop_create(&loop, &loop_config, why);
}

/* Serves the clients of FD until the end. */
static int serve(const struct options *options, int fd)
{
	struct error why;

	if (make_loop(&why) || program_write_pidfile(options->pidfile, &why) ||
	    mapper_start(&mapper, &loop, &why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	host = (struct host){
		.loop = &loop,
		.engine = &service.engine,
		.slots = &slots,
		.mapper = &mapper,
		.size = service.config.engine.size_bytes,
		.client_opens = lifecycle_client_opens,
		.client_closed = lifecycle_client_closed,
		.is_forced = lifecycle_is_forced,
	};
	listener_start(&listener, &host, fd);
	service_tell(&service);
	loop_run(&loop);
	/* A thread that is left ends with the process. */
	mapper_stop(&mapper);
	return EXIT_SUCCESS;
}

static int run(const struct options *options)
{
	const struct service_front front = { .shut_down = shut_down,
					     .heap_bytes = HEAP_BYTES,
					     .no_handlers = true,
					     .is_confined = true,
					     .paths = { options->socket,
							options->pidfile } };
	struct error why;
	int fd, status = EXIT_FAILURE;

	if (service_probe(&service, &why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	fd = net_listen_unix(options->socket, &why);
	if (fd < 0) {
		log_error("--unix=%s: %s", options->socket, why.text);
		service_stop(&service);
		return EXIT_FAILURE;
	}
	heartbeat_start();
	if (!service_start(&service, &front))
		status = serve(options, fd);
	/* In this order: another one takes the path of a socket that nobody
	 * listens on any more. */
	unlink(options->socket);
	close(fd);
	if (options->pidfile)
		unlink(options->pidfile);
	service_stop(&service);
	return status;
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
	safety_prepare();
	return run(&options);
}
