#include "patience.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A wait takes so much of what it usually takes, or less. */
#define USUAL_TIMES 2

/* A sample counts for so much of what is usual. */
#define USUAL_WEIGHT 8

void patience_create(struct patience *patience, uint64_t max_ns)
{
	char first[64];

	*patience = (struct patience){
		.max_ns = max_ns,
		.running_fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC),
		.processors = sysconf(_SC_NPROCESSORS_ONLN),
	};
	for (int i = 0; i < PATIENCE_WAITS; i++)
		patience->waits[i].usual_ns = USUAL_TIMES * max_ns;
	/* The kernel allocates its buffer at the first read. */
	if (patience->running_fd >= 0)
		(void)!pread(patience->running_fd, first, sizeof first, 0);
}

void patience_destroy(struct patience *patience)
{
	if (patience->running_fd >= 0)
		close(patience->running_fd);
	patience->running_fd = -1;
}

/* How many threads of the machine run or could run, this one among them: the
 * fourth number of /proc/loadavg, as in "0.20 0.18 0.12 1/80 11206".  Many
 * where that is not known. */
static long running(const struct patience *patience)
{
	char text[64];
	ssize_t n = pread(patience->running_fd, text, sizeof text - 1, 0);
	const char *at = text;

	if (n <= 0)
		return INT32_MAX;
	text[n] = '\0';
	for (int i = 0; at && i < 3; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at ? strtol(at, NULL, 10) : INT32_MAX;
}

static bool has_spare(struct patience *patience, uint64_t now_ns)
{
	if (now_ns - patience->looked_ns >= PATIENCE_LOOK_NS) {
		patience->spare = running(patience) <= patience->processors;
		patience->looked_ns = now_ns;
	}
	return patience->spare;
}

static bool has_spent(struct patience *patience, uint64_t now_ns)
{
	if (now_ns - patience->window_ns >= PATIENCE_WINDOW_NS) {
		patience->window_ns = now_ns;
		patience->spent_ns = 0;
	}
	return patience->spent_ns >= PATIENCE_SPENT_NS;
}

uint64_t patience_begin(struct patience *patience, enum patience_wait wait,
			uint64_t now_ns)
{
	uint64_t ns = USUAL_TIMES * patience->waits[wait].usual_ns;

	if (ns == 0 || ns > patience->max_ns || has_spent(patience, now_ns) ||
	    !has_spare(patience, now_ns) ||
	    !spin_pays(&patience->waits[wait].spin))
		return 0;
	return ns;
}

void patience_end(struct patience *patience, enum patience_wait wait,
		  uint64_t took_ns, uint64_t polled_ns, bool found)
{
	uint64_t *usual_ns = &patience->waits[wait].usual_ns;

	/* One long wait says little of the next one. */
	if (took_ns > USUAL_TIMES * patience->max_ns)
		took_ns = USUAL_TIMES * patience->max_ns;
	*usual_ns =
		*usual_ns - *usual_ns / USUAL_WEIGHT + took_ns / USUAL_WEIGHT;
	patience->spent_ns += polled_ns;
	if (polled_ns)
		spin_learn(&patience->waits[wait].spin, found);
}
