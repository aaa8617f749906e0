#include "events.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "jsonout.h"

static const char *const names[EVENT_KINDS] = {
	[EVENT_STARTED] = "started",
	[EVENT_ASKED_TO_END] = "asked_to_end",
	[EVENT_SERVER_UP] = "server_up",
	[EVENT_SERVER_RECOVERING] = "server_recovering",
	[EVENT_SERVER_LOST] = "server_lost",
	[EVENT_SERVER_AWAY] = "server_away",
	[EVENT_SERVER_JOINED] = "server_joined",
	[EVENT_SERVER_LEFT] = "server_left",
	[EVENT_SLABS_ASKED_BACK] = "slabs_asked_back",
	[EVENT_SLABS_KEPT] = "slabs_kept",
	[EVENT_POOL_BACK] = "pool_back",
	[EVENT_RESERVATION_LOST] = "reservation_lost",
	[EVENT_RESERVATION_BACK] = "reservation_back",
	[EVENT_RESERVATION_MOVED] = "reservation_moved",
	[EVENT_REPAIR_BEGUN] = "repair_begun",
	[EVENT_REPAIR_DONE] = "repair_done",
	[EVENT_SCRUB_BEGUN] = "scrub_begun",
	[EVENT_SCRUB_DONE] = "scrub_done",
	[EVENT_SCRUB_STOPPED] = "scrub_stopped",
	[EVENT_NO_ROOM] = "no_room",
	[EVENT_PAGES_LOST] = "pages_lost",
	[EVENT_WRONG_BYTES] = "wrong_bytes",
	[EVENT_DRAIN] = "drain",
	[EVENT_SERVING] = "serving",
	[EVENT_PRESSURE] = "pressure",
	[EVENT_PRESSURE_OVER] = "pressure_over",
	[EVENT_SESSION_OPENED] = "session_opened",
	[EVENT_SESSION_DISCONNECTED] = "session_disconnected",
	[EVENT_SESSION_RESUMED] = "session_resumed",
	[EVENT_SESSION_ENDED] = "session_ended",
	[EVENT_POOL_JOINED] = "pool_joined",
	[EVENT_POOL_AWAY] = "pool_away",
};

/* Of these an event is counted. */
#define LATEST 6

struct event {
	enum event_kind kind;
	struct timespec first, last; /* CLOCK_REALTIME */
	uint64_t times;
	char subject[72];
	char text[160];
};

static struct {
	pthread_mutex_t lock;
	struct event events[EVENTS_MAX]; /* the oldest is overwritten */
	uint64_t n;			 /* ever */
} ring = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct event *at(uint64_t number)
{
	return &ring.events[number % EVENTS_MAX];
}

static bool is_like(const struct event *a, const struct event *b)
{
	return a->kind == b->kind && !strcmp(a->subject, b->subject);
}

/* Takes an event like NEW out of the latest, and adds it to NEW. */
static void join(struct event *new)
{
	uint64_t oldest = ring.n > LATEST ? ring.n - LATEST : 0;
	uint64_t number = ring.n;

	while (number > oldest && !is_like(at(number - 1), new))
		number--;
	if (number == oldest)
		return;
	new->first = at(number - 1)->first;
	new->times += at(number - 1)->times;
	for (; number < ring.n; number++)
		*at(number - 1) = *at(number);
	ring.n--;
}

void events_add(enum event_kind kind, const char *subject, const char *format,
		...)
{
	struct event event = { .kind = kind, .times = 1 };
	va_list args;

	clock_gettime(CLOCK_REALTIME, &event.last);
	event.first = event.last;
	snprintf(event.subject, sizeof event.subject, "%s", subject);
	va_start(args, format);
	vsnprintf(event.text, sizeof event.text, format, args);
	va_end(args);
	pthread_mutex_lock(&ring.lock);
	join(&event);
	*at(ring.n++) = event;
	pthread_mutex_unlock(&ring.lock);
}

/* UTC, as RFC 3339 has it, with milliseconds. */
static void put_time(struct jsonout *j, const char *key,
		     const struct timespec *when)
{
	struct tm tm;
	char day[32] = "", text[48];

	if (gmtime_r(&when->tv_sec, &tm))
		strftime(day, sizeof day, "%FT%T", &tm);
	snprintf(text, sizeof text, "%s.%03ldZ", day, when->tv_nsec / 1000000);
	jsonout_text(j, key, text);
}

static void put_event(struct jsonout *j, const struct event *event)
{
	jsonout_begin(j, NULL, '{');
	put_time(j, "time", &event->last);
	jsonout_text(j, "event", names[event->kind]);
	if (event->subject[0])
		jsonout_text(j, "subject", event->subject);
	jsonout_text(j, "text", event->text);
	jsonout_number(j, "times", event->times);
	put_time(j, "first_time", &event->first);
	jsonout_end(j, '}');
}

/* The lock is held for one event at a time.  Events that are overwritten
 * meanwhile are forgotten. */
static bool copy(uint64_t *number, struct event *event)
{
	bool found;

	pthread_mutex_lock(&ring.lock);
	if (*number + EVENTS_MAX < ring.n)
		*number = ring.n - EVENTS_MAX;
	found = *number < ring.n;
	if (found)
		*event = *at(*number);
	pthread_mutex_unlock(&ring.lock);
	return found;
}

void events_write(FILE *out)
{
	struct jsonout j = { .out = out };
	struct event event;
	uint64_t number = 0, forgotten = 0;

	jsonout_begin(&j, NULL, '{');
	jsonout_begin(&j, "events", '[');
	for (bool first = true; copy(&number, &event); number++) {
		if (first)
			forgotten = number;
		first = false;
		put_event(&j, &event);
	}
	jsonout_end(&j, ']');
	jsonout_number(&j, "forgotten", forgotten);
	jsonout_end(&j, '}');
	fputc('\n', out);
}
