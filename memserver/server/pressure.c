#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "loops/container.h"
#include "machine/kernfile.h"
#include "session/release.h"

/* The kernel's averages change every two seconds. */
#define LOOK_S 2.0
/* Clients have this long to move the slabs that they were asked for. */
#define ASK_NS (10 * NS_PER_S)

bool pressure_find(const char *psi, unsigned *hundredths)
{
	const char *some = strstr(psi, "some avg10=");
	unsigned whole, part;

	if (!some || sscanf(some, "some avg10=%3u.%2u", &whole, &part) != 2)
		return false;
	*hundredths = whole * 100 + part;
	return true;
}

/* Open from pressure_start to pressure_stop, so that a lack of descriptors does
 * not hide the pressure.  -1 otherwise. */
static int psi_fd = -1;

/* A kernel without PSI has no file; one booted with psi=0 fails the read. */
static int read_psi(const struct config *config, unsigned *hundredths)
{
	char text[512];
	int fd = psi_fd;
	ssize_t n;

	if (fd < 0)
		fd = open(config->psi_path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -errno : kernfile_read(fd, text, sizeof text);
	if (fd >= 0 && fd != psi_fd)
		close(fd);
	if (n < 0)
		return (int)n;
	return pressure_find(text, hundredths) ? 0 : -EINVAL;
}

bool pressure_check(const struct config *config, struct error *why)
{
	unsigned ignored;
	int err = config->reclaim_percent ? read_psi(config, &ignored) : 0;

	if (err)
		error_set(why,
			  "--reclaim=%u: this kernel does not tell its memory "
			  "pressure (%s: %s); it has to be built with "
			  "CONFIG_PSI and booted with psi=1",
			  config->reclaim_percent, config->psi_path,
			  strerror(-err));
	return err == 0;
}

void pressure_look(struct server *server, uint64_t now_ns)
{
	unsigned most = server->config->reclaim_percent * 100;
	unsigned now;

	/* A figure that cannot be read this time changes nothing. */
	if (read_psi(server->config, &now))
		return;
	if (now <= most) {
		if (server->sessions.pressed) {
			log_notice("memory pressure is over (%u.%02u %%)",
				   now / 100, now % 100);
			events_add(EVENT_PRESSURE_OVER, "", "%u.%02u %%",
				   now / 100, now % 100);
			release_no_more(&server->sessions);
		}
		return;
	}
	if (server->sessions.pressed && now_ns < server->next_ask_ns)
		return;
	if (!server->sessions.pressed) {
		log_notice("memory pressure is %u.%02u %%, above --reclaim=%u",
			   now / 100, now % 100,
			   server->config->reclaim_percent);
		events_add(EVENT_PRESSURE, "", "%u.%02u %%", now / 100,
			   now % 100);
	}
	server->next_ask_ns = now_ns + ASK_NS;
	release_some(&server->sessions);
}

static void look_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	pressure_look(container_of(watcher, struct server, pressure_timer),
		      clock_now_ns());
}

void pressure_start(struct server *server)
{
	if (!server->config->reclaim_percent)
		return;
	psi_fd = open(server->config->psi_path, O_RDONLY | O_CLOEXEC);
	ev_timer_init(&server->pressure_timer, look_cb, LOOK_S, LOOK_S);
	ev_timer_start(server->loop, &server->pressure_timer);
}

void pressure_stop(struct server *server)
{
	if (!server->config->reclaim_percent)
		return;
	ev_timer_stop(server->loop, &server->pressure_timer);
	if (psi_fd >= 0)
		close(psi_fd);
	psi_fd = -1;
}
