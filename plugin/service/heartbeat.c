#include "heartbeat.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "clock.h"
#include "notify.h"
#include "safety.h"

/* More loops than a front end has. */
#define LOOPS_MAX 256
/* Answers in the time of the watchdog. */
#define ANSWERS 4
/* A loop that turned so lately turns. */
#define FRESH_NS (3 * NS_PER_S)

/* A cache line for each loop's thread, which alone writes it. */
static struct beat {
	_Alignas(64) _Atomic uint64_t turned_ns;
} beats[LOOPS_MAX];
static atomic_uint n_beats;
static _Thread_local struct beat *mine;

static struct notify notify = { .fd = -1 };
static uint64_t every_ns;
static uint64_t next_ns; /* the first loop's thread only */

void heartbeat_start(void)
{
	uint64_t ns = notify_watchdog_ns();

	if (ns && !notify_open(&notify))
		every_ns = ns / ANSWERS;
}

uint64_t heartbeat_oldest_ns(void)
{
	unsigned n = atomic_load(&n_beats);
	uint64_t oldest_ns = 0;

	for (unsigned i = 0; i < n && i < LOOPS_MAX; i++) {
		uint64_t ns = atomic_load(&beats[i].turned_ns);

		if (ns && (!oldest_ns || ns < oldest_ns))
			oldest_ns = ns;
	}
	return oldest_ns;
}

/* The manager that gets no answer has one line in its log. */
static void answer(uint64_t now_ns)
{
	if (now_ns < next_ns || now_ns - heartbeat_oldest_ns() > FRESH_NS)
		return;
	next_ns = now_ns + every_ns;
	notify_answer(&notify);
}

static void begin(void)
{
	unsigned i = atomic_fetch_add(&n_beats, 1);

	mine = &beats[i < LOOPS_MAX ? i : LOOPS_MAX - 1];
}

void heartbeat_turn(uint32_t in_flight)
{
	uint64_t now_ns = clock_tick_ns();

	safety_turn(in_flight);
	if (!mine)
		begin();
	atomic_store_explicit(&mine->turned_ns, now_ns, memory_order_relaxed);
	if (every_ns && mine == beats)
		answer(now_ns);
}
