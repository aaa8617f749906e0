/* rswap-memserver: the order in which things start and stop. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "filelimit.h"
#include "grants/grant.h"
#include "host.h"
#include "log.h"
#include "output/output.h"
#include "ownfile.h"
#include "server/pressure.h"
#include "server/server.h"
#include "signals.h"
#include "size.h"
#include "server/status.h"

#define PROGRAM "rswap-memserver"

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer looks at what was sent only after it was sent, when the
 * client may have written there again over another lane. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "intercept_send=0";
}
#endif

/* What the machine must allow, before anything is started. */
static bool check_host(const struct config *config, struct error *why)
{
	return host_open_memory(why) && host_check_hugepages(config, why) &&
	       host_check_cgroup(config, why) &&
	       host_check_memlock(config, why) && pressure_check(config, why);
}

static bool open_base(struct server *server, struct error *why)
{
	list_init(&server->controls);
	admission_init(&server->admission);
	handout_init(server);
	list_init(&server->sessions);
	server->start_ns = clock_now_ns();
	if (getrandom(server->incarnation, sizeof server->incarnation, 0) !=
	    sizeof server->incarnation) {
		error_set(why, "cannot draw random numbers: %s",
			  strerror(errno));
		return false;
	}
	/* Not epoll: sockets leave this loop for a data thread's, and epoll
	 * would go on watching them here until they are closed. */
	server->loop = ev_loop_new(EVBACKEND_POLL);
	if (!server->loop) {
		error_set(why, "cannot make an event loop");
		return false;
	}
	mailbox_open(&server->box, server->loop);
	return true;
}

static bool open_pool(struct server *server, struct error *why)
{
	struct slab_pool_config config = {
		.memory_bytes = server->config->memory_bytes,
		.slab_bytes = server->config->slab_bytes,
		.stock = server->config->stock,
		.hugepages = server->config->hugepages,
	};

	return slab_pool_open(&server->pool, &config, &server->preparer, why) ==
	       0;
}

static bool start_threads(struct server *server, struct error *why)
{
	const struct config *config = server->config;

	return workq_start(&server->preparer, "preparer", &server->box, why) ==
		       0 &&
	       workq_start(&server->teardown, "teardown", &server->box, why) ==
		       0 &&
	       data_loops_start(server, config->threads, why) == 0 &&
	       (!config->control || status_start(server, why) == 0);
}

/* --- files that tell others where the server is --- */

static struct ownfile port_file;
static struct ownfile pidfile;

static bool write_file(struct ownfile *file, const char *option,
		       const char *path, const char *text, struct error *why)
{
	struct error detail;

	if (!path || ownfile_make(file, path, text, &detail) == 0)
		return true;
	error_set(why, "--%s=%.80s: %.220s", option, path, detail.text);
	return false;
}

static bool write_port_file(const struct server *server, struct error *why)
{
	char text[CONFIG_LISTEN_MAX * 8] = "";
	size_t used = 0;

	/* the addresses of one --listen have one port */
	for (unsigned i = 0; i < server->listener_count; i++) {
		const struct listener *l = &server->listeners[i];

		if (i == 0 || l->listen != l[-1].listen)
			used += (size_t)snprintf(text + used,
						 sizeof text - used, "%u\n",
						 net_addr_port(&l->addr));
	}
	return write_file(&port_file, "port-file", server->config->port_file,
			  text, why);
}

static bool write_pidfile(const struct server *server, struct error *why)
{
	char text[24];

	snprintf(text, sizeof text, "%ld\n", (long)getpid());
	return write_file(&pidfile, "pidfile", server->config->pidfile, text,
			  why);
}

/* Only what this server has made: another one's stays. */
static void remove_files(void)
{
	ownfile_remove(&port_file);
	ownfile_remove(&pidfile);
}

static void tell_ready(const struct server *server)
{
	const struct config *config = server->config;

	if (config->memory_bytes != config->memory_asked_bytes)
		log_notice("--memory=%s: rounded down to %s, whole slabs of %s",
			   size_format(config->memory_asked_bytes).text,
			   size_format(config->memory_bytes).text,
			   size_format(config->slab_bytes).text);
	for (unsigned i = 0; i < server->listener_count; i++)
		log_notice("listening on %s (%s)",
			   net_addr_format(&server->listeners[i].addr).text,
			   server_transports_text(
				   server->listeners[i].transports));
	log_notice("serving %s in %u slabs of %s",
		   size_format(config->memory_bytes).text, server->pool.count,
		   size_format(config->slab_bytes).text);
	output_manager("READY=1\nSTATUS=Serving %s on %s",
		       size_format(config->memory_bytes).text,
		       net_addr_format(&server->listeners[0].addr).text);
}

/* Everything is started: serves, and stops it again. */
static void serve(struct server *server)
{
	/* Only now, so that a server which does not start says why and no
	 * more. */
	host_protect_from_oom();
	host_check_memory(server->config);
	tell_ready(server);
	slab_stock_fill(&server->pool);
	if (!server_run(server))
		log_error("%u sessions did not end in time",
			  server->session_count);
	remove_files();
	status_stop(server);
	if (server->session_count)
		return; /* somebody still uses what follows */
	data_loops_stop(server);
	workq_stop(&server->teardown);
	workq_stop(&server->preparer);
	server_unlisten(server);
	mailbox_close(&server->box);
	slab_pool_close(&server->pool);
	ev_loop_destroy(server->loop);
}

/* A server that fails to start leaves its threads to the end of the process.
 */
static int run(const struct config *config)
{
	static struct server server;
	struct error why;

	server.config = config;
	signals_ignore_stray();
	if (output_start(&why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	if (!check_host(config, &why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	host_raise_file_limit();
	if (!filelimit_check(config, &server.lanes_left, &why) ||
	    !open_base(&server, &why) || !open_pool(&server, &why) ||
	    server_listen(&server, &why) < 0 || !start_threads(&server, &why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	server_catch_signals(&server);
	if (!write_pidfile(&server, &why) || !write_port_file(&server, &why)) {
		log_error("%s", why.text);
		remove_files();
		status_stop(&server);
		return EXIT_FAILURE;
	}
	serve(&server);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct config config;
	struct cmdline_error why;
	int status;

	switch (config_parse(argc, argv, &config, &why)) {
	case CMDLINE_HELP:
		config_help();
		return EXIT_SUCCESS;
	case CMDLINE_VERSION:
		printf(PROGRAM " " RSWAP_VERSION "\n");
		return EXIT_SUCCESS;
	case CMDLINE_WRONG:
		fprintf(stderr, PROGRAM ": %s\n", why.text);
		return EXIT_FAILURE;
	case CMDLINE_RUN:
		break;
	}
	status = run(&config);
	log_stop();
	return status;
}
