#include "output.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "journal.h"
#include "log.h"
#include "peerlimit.h"

static bool under_journal;

/* Runs on the thread that writes the log. */
static void write_line(enum log_level level, const char *line)
{
	if (level == LOG_LEVEL_MANAGER)
		sd_notify(0, line);
	else if (level != LOG_LEVEL_DEBUG)
		fprintf(stderr, "%s%s\n",
			under_journal ? journal_priority(level)
				      : "rswap-memserver: ",
			line);
}

int output_start(struct error *why)
{
	under_journal = journal_has(STDERR_FILENO);
	log_to(write_line);
	return log_start(why);
}

/* Of peers with an identity, and of those without. */
static struct peerlimit complaints[2] = { PEERLIMIT_INIT(10),
					  PEERLIMIT_INIT(10) };
static struct peerlimit news[2] = { PEERLIMIT_INIT(50), PEERLIMIT_INIT(50) };
static struct log_limit manager_limit = { .lines = 10, .period_ms = 1000 };

static struct log_limit *limit_of(struct peerlimit tables[2],
				  const struct peer_name *peer)
{
	return peerlimit_of(&tables[!peer_name_identity(peer)], peer);
}

void output_peer(const struct peer_name *peer, const char *format, ...)
{
	char text[LOG_LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	log_limited(limit_of(complaints, peer), LOG_LEVEL_ERROR, "%s: %s",
		    peer->text, text);
}

void output_news(const struct peer_name *peer, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_limited_v(limit_of(news, peer), LOG_LEVEL_NOTICE, format, args);
	va_end(args);
}

void output_manager(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_limited_v(&manager_limit, LOG_LEVEL_MANAGER, format, args);
	va_end(args);
}
