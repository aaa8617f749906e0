/* rswap-memserver: the order in which things start and stop. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "events.h"
#include "filelimit.h"
#include "host.h"
#include "links/transports.h"
#include "log.h"
#include "machine/memory.h"
#include "output/output.h"
#include "ownfile.h"
#include "privileges.h"
#include "server/pressure.h"
#include "server/registration.h"
#include "server/server.h"
#include "signals.h"
#include "size.h"
#include "server/status.h"
#include "server/web.h"
#include "syscalls.h"

#define PROGRAM "rswap-memserver"
/* So many steps behind the threads that move pages.  A step is a tenth of the
 * processor time (sched(7)). */
#define MAIN_NICE 5

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer reads the bytes of a send after the send.  By then the client
 * may have written there again, over another lane. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);

const char *__tsan_default_options(void)
{
	return "intercept_send=0";
}
#endif

/* Whether the machine allows the options.  Before any thread is started. */
static bool check_host(const struct config *config, struct error *why)
{
	return memory_open(why) && host_check_hugepages(config, why) &&
	       host_check_cgroup(config, why) &&
	       host_check_memlock(config, why) && pressure_check(config, why);
}

static bool open_base(struct server *server, struct error *why)
{
	server->start_ns = clock_now_ns();
	if (getrandom(server->incarnation, sizeof server->incarnation, 0) !=
	    sizeof server->incarnation) {
		error_set(why, "cannot draw random numbers: %s",
			  strerror(errno));
		return false;
	}
	/* Not epoll: a socket leaves this loop for the loop of a data thread,
	 * and epoll would watch it here until it is closed. */
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

	if (slab_pool_open(&server->pool, &config, &server->preparer, why) < 0)
		return false;
	server_connect_parts(server);
	return true;
}

static bool start_threads(struct server *server, struct error *why)
{
	const struct config *config = server->config;

	return workq_start(&server->preparer, "preparer", &server->box, why) ==
		       0 &&
	       workq_start(&server->teardown, "teardown", &server->box, why) ==
		       0 &&
	       (!config->control || status_start(server, why) == 0) &&
	       (!config->has_metrics || web_start(server, why) == 0) &&
	       registration_start(server, why) == 0;
}

/* --- files that tell other processes where the server is --- */

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

	/* The addresses of one --listen have one port. */
	for (unsigned i = 0; i < server->listeners.count; i++) {
		const struct listener *l = &server->listeners.at[i];

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

/* Only the files that this server made. */
static void remove_files(void)
{
	ownfile_remove(&port_file);
	ownfile_remove(&pidfile);
}

static void tell_ready(const struct server *server)
{
	const struct config *config = server->config;
	char names[TRANSPORTS_NAMES_BYTES];

	if (config->memory_bytes != config->memory_asked_bytes)
		log_notice("--memory=%s: rounded down to %s, whole slabs of %s",
			   size_format(config->memory_asked_bytes).text,
			   size_format(config->memory_bytes).text,
			   size_format(config->slab_bytes).text);
	for (unsigned i = 0; i < server->listeners.count; i++)
		log_notice("listening on %s (%s)",
			   net_addr_format(&server->listeners.at[i].addr).text,
			   transports_names(
				   server->listeners.at[i].offer.transports,
				   ", ", names));
	if (web_addr(server))
		log_notice("figures at http://%s/, for Prometheus at /metrics",
			   net_addr_format(web_addr(server)).text);
	log_notice("serving %s in %u slabs of %s",
		   size_format(config->memory_bytes).text, server->pool.count,
		   size_format(config->slab_bytes).text);
	events_add(EVENT_STARTED, "", "serving %s in slabs of %s",
		   size_format(config->memory_bytes).text,
		   size_format(config->slab_bytes).text);
	output_manager("READY=1\nSTATUS=Serving %s on %s",
		       size_format(config->memory_bytes).text,
		       net_addr_format(&server->listeners.at[0].addr).text);
}

/* Where processors are short, pages go before connections and handshakes, which
 * strangers may ask for as often as they like.  On Linux a nice value is the
 * calling thread's own (setpriority(2), under NOTES). */
static void stand_back(void)
{
	(void)!nice(MAIN_NICE);
}

/* Everything is open that is opened for writing, and every thread is started.
 */
static bool restrict_calls(const struct config *config, struct error *why)
{
	struct error detail;

	if (config->no_seccomp)
		return true;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	/* A sanitizer makes calls of its own. */
	log_notice("built with a sanitizer: no filter of system calls");
	return true;
#endif
	if (syscalls_restrict(*config->pool.name, &detail) == 0)
		return true;
	error_set(why,
		  "cannot filter system calls (seccomp: %s): --no-seccomp "
		  "serves without",
		  detail.text);
	return false;
}

/* Everything is started: serves, and then stops everything. */
static void serve(struct server *server)
{
	/* Not before, so that a server that does not start logs only the
	 * reason. */
	privileges_tell(server->config);
	host_check_memory(server->config);
	tell_ready(server);
	slab_stock_fill(&server->pool);
	if (!server_run(server))
		log_error("%u sessions did not end in time",
			  server->sessions.count);
	remove_files();
	registration_stop(server);
	web_stop(server);
	status_stop(server);
	if (server->sessions.count)
		return; /* their links still use the rest */
	workq_stop(&server->teardown);
	workq_stop(&server->preparer);
	listeners_close(&server->listeners);
	identities_close(&server->controls.identities);
	tenants_close(&server->tenants);
	mailbox_close(&server->box);
	slab_pool_close(&server->pool);
	ev_loop_destroy(server->loop);
}

/* A server that fails to start leaves its threads to the end of the process.
 */
static int run(const struct config *config)
{
	static struct server server;
	uint64_t files;
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
	if (!filelimit_check(config, &files, &why) ||
	    (*config->pool.name && registration_open(&server, &why) < 0) ||
	    !open_base(&server, &why) || !open_pool(&server, &why) ||
	    identities_open(&server.controls.identities, config->psk_file,
			    &why) < 0 ||
	    (config->tenants &&
	     tenants_read(&server.tenants, config->tenants, &why) < 0) ||
	    listeners_open(&server.listeners, config, &why) < 0 ||
	    !start_threads(&server, &why)) {
		log_error("%s", why.text);
		return EXIT_FAILURE;
	}
	accounts_limit_files(&server.sessions.accounts, files);
	server_catch_signals(&server);
	stand_back();
	if (!write_pidfile(&server, &why) || !write_port_file(&server, &why) ||
	    !restrict_calls(config, &why)) {
		log_error("%s", why.text);
		remove_files();
		registration_stop(&server);
		web_stop(&server);
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
	enum cmdline_verdict verdict;
	struct error dropping;
	int status;

	verdict = config_parse(argc, argv, &config, &why);
	if (!cmdline_runs(PROGRAM, verdict, config_help, &why, &status))
		return status;
	if (!privileges_drop(&config, &dropping)) {
		fprintf(stderr, PROGRAM ": %s\n", dropping.text);
		return EXIT_FAILURE;
	}
	status = run(&config);
	log_stop();
	return status;
}
