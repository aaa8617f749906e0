#include "status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "blockdev.h"
#include "ctlsock.h"
#include "events.h"
#include "jsonout.h"
#include "net.h"
#include "repair/scrub.h"
#include "report.h"

/* "scrub BYTES_PER_S", where 0 is no limit, or "scrub stop". */
static void answer_scrub(struct engine *engine, const char *word, FILE *out)
{
	struct jsonout j = { .out = out };
	char *end;
	uint64_t bytes_per_s = strtoull(word, &end, 10);

	if (!engine->config.checksum) {
		ctlsock_error(out, "checksum=off: there is nothing to check "
				   "pages by");
		return;
	}
	if (!strcmp(word, "stop")) {
		scrub_stop(engine);
	} else if (*word >= '0' && *word <= '9' && !*end) {
		scrub_start(engine, bytes_per_s);
	} else {
		ctlsock_error(out, "scrub: allowed are a number of bytes per "
				   "second, and stop");
		return;
	}
	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "scrub", *word == 's' ? "stopped" : "running");
	jsonout_end(&j, '}');
	fputc('\n', out);
}

/* "device PATH": who connected the kernel's nbd to this process tells it which
 * device that is. */
static void answer_device(const char *path, FILE *out)
{
	struct jsonout j = { .out = out };

	if (!blockdev_tell(path)) {
		ctlsock_error(out, "device: allowed is the path of a block "
				   "device, as /dev/nbd0");
		return;
	}
	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "device", path);
	jsonout_end(&j, '}');
	fputc('\n', out);
}

static bool answer(const char *command, FILE *out, void *arg)
{
	struct status_server *server = arg;

	if (!strcmp(command, "status"))
		report_write(server->engine, server->pool, server->safety, out);
	else if (!strcmp(command, "events"))
		events_write(out);
	else if (!strncmp(command, "scrub ", strlen("scrub ")))
		answer_scrub(server->engine, command + strlen("scrub "), out);
	else if (!strncmp(command, "device ", strlen("device ")))
		answer_device(command + strlen("device "), out);
	else
		return false;
	return true;
}

static void *status_main(void *arg)
{
	/* Static, so that the buffer is locked with the plugin. */
	static char buffer[REPORT_BYTES > EVENTS_BYTES ? REPORT_BYTES
						       : EVENTS_BYTES];
	const struct status_server *status = arg;
	const struct ctlsock_server server = {
		.listen_fd = status->listen_fd,
		.stop_fd = status->stop_fd,
		.answer = answer,
		.arg = arg,
		.buffer = buffer,
		.buffer_bytes = sizeof buffer,
	};

	ctlsock_serve(&server);
	return NULL;
}

int status_listen(struct status_server *server, const char *path,
		  struct error *why)
{
	*server = (struct status_server){ .path = path };
	server->listen_fd = net_listen_unix(path, why);
	if (server->listen_fd < 0)
		return server->listen_fd;
	server->listening = true;
	return 0;
}

int status_start(struct status_server *server, struct engine *engine,
		 struct poolwatch *pool, const struct safety *safety,
		 struct error *why)
{
	int rc;

	server->engine = engine;
	server->pool = pool;
	server->safety = safety;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = server->stop_fd < 0 ? errno
				 : pthread_create(&server->thread, NULL,
						  status_main, server);
	if (rc) {
		error_set(why, "the control socket's thread: %s", strerror(rc));
		if (server->stop_fd >= 0)
			close(server->stop_fd);
	}
	server->running = rc == 0;
	return -rc;
}

void status_stop(struct status_server *server)
{
	uint64_t one = 1;

	if (server->running) {
		(void)!write(server->stop_fd, &one, sizeof one);
		pthread_join(server->thread, NULL);
		close(server->stop_fd);
	}
	if (server->listening) {
		unlink(server->path);
		close(server->listen_fd);
	}
	server->running = server->listening = false;
}
