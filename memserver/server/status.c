#include "status.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ask.h"
#include "ctlsock.h"
#include "drain.h"
#include "events.h"
#include "registration.h"
#include "report.h"

/* The status thread asks, and the main loop answers. */
struct status {
	struct server *server;
	int listen_fd;
	int stop_fd;
	pthread_t thread;
	struct ask ask;
};

/* --- commands, on the main loop --- */

static void drain(struct server *server, FILE *out)
{
	drain_begin(server, "over the control socket");
	registration_notice(server);
	report_drain(server, out);
}

static void undrain(struct server *server, FILE *out)
{
	if (!drain_end(server, "over the control socket")) {
		ctlsock_error(out, "the server was told to end, and that "
				   "cannot be undone");
		return;
	}
	registration_notice(server);
	report_drain(server, out);
}

/* They need no main loop, but it does no harm. */
static void tell_events(struct server *server, FILE *out)
{
	(void)server;
	events_write(out);
}

static const struct {
	const char *word;
	ask_fill *fill;
} commands[] = { { "status", report_status },
		 { "events", tell_events },
		 { "drain", drain },
		 { "undrain", undrain } };

#define N_COMMANDS (sizeof commands / sizeof commands[0])

/* --- the status thread --- */

static bool answer(const char *command, FILE *out, void *arg)
{
	struct status *status = arg;
	size_t i = 0;

	while (i < N_COMMANDS && strcmp(command, commands[i].word) != 0)
		i++;
	if (i == N_COMMANDS)
		return false;
	if (!ask_main_loop(&status->ask, commands[i].fill, out))
		ctlsock_error(out, "the server is stopping or out of memory");
	return true;
}

static void *status_thread(void *arg)
{
	struct status *status = arg;
	const struct ctlsock_server server = {
		.listen_fd = status->listen_fd,
		.stop_fd = status->stop_fd,
		.answer = answer,
		.arg = status,
	};

	ctlsock_serve(&server);
	return NULL;
}

static void status_free(struct status *status)
{
	if (status->listen_fd >= 0) {
		/* In this order: another server takes the path of a socket that
		 * nobody listens on any more. */
		unlink(status->server->config->control);
		close(status->listen_fd);
	}
	if (status->stop_fd >= 0)
		close(status->stop_fd);
	ask_free(&status->ask);
	free(status);
}

int status_start(struct server *server, struct error *why)
{
	struct status *status = calloc(1, sizeof *status);
	struct error detail;
	int err;

	if (!status) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	status->server = server;
	ask_open(&status->ask, server);
	status->stop_fd = eventfd(0, EFD_CLOEXEC);
	status->listen_fd = net_listen_unix(server->config->control, &detail);
	if (status->listen_fd < 0) {
		err = status->listen_fd;
		error_set(why, "--control=%.100s: %.140s",
			  server->config->control, detail.text);
		status_free(status);
		return err;
	}
	err = status->stop_fd < 0 ? errno
				  : pthread_create(&status->thread, NULL,
						   status_thread, status);
	if (err) {
		error_set(why, "cannot start a thread: %s", strerror(err));
		status_free(status);
		return -err;
	}
	pthread_setname_np(status->thread, "status");
	server->status = status;
	return 0;
}

void status_stop(struct server *server)
{
	struct status *status = server->status;

	if (!status)
		return;
	ask_close(&status->ask);
	eventfd_write(status->stop_fd, 1);
	pthread_join(status->thread, NULL);
	server->status = NULL;
	status_free(status);
}
