#include "queues.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint16_t count(const struct queues *queues)
{
	return queues->config.control->queues;
}

/* The part of the lanes that one of them may use at a time: QUEUES_LANES_MIN or
 * more, as the command line has it, unless there is only one lane. */
static uint32_t lanes_of(const struct queues *queues)
{
	uint32_t lanes = queues->config.engine->lanes.config.lanes;
	uint32_t part = lanes / count(queues);

	return part ? part : 1;
}

static int make(struct queues_thread *t)
{
	const struct queues_config *config = &t->queues->config;
	const struct loop_config loop_config = {
		.engine = config->engine,
		.lanes = lanes_of(t->queues),
		.spin_ns = config->engine->config.spin_ns,
		.turn = config->turn,
	};
	const struct queue_config queue_config = {
		.loop = &t->loop,
		.engine = config->engine,
		.size_bytes = config->size_bytes,
		.char_fd = config->control->char_fd,
		.number = t->number,
		.depth = config->control->depth,
		.refused = config->refused,
	};
	int rc = loop_create(&t->loop, &loop_config, &t->why);

	if (!rc)
		rc = queue_open(&t->queue, &queue_config, &t->why);
	if (!rc)
		rc = queue_fetch(&t->queue, &t->why);
	return rc;
}

static void *serve(void *arg)
{
	struct queues_thread *t = arg;
	struct queues *queues = t->queues;

	t->rc = make(t);
	sem_post(&t->fetched);
	if (!t->rc) {
		loop_run(&t->loop);
		queue_close(&t->queue);
	}
	atomic_fetch_add(&queues->n_ended, 1);
	queues->config.ended();
	return NULL;
}

static int start_thread(struct queues_thread *t, struct error *why)
{
	int rc;

	sem_init(&t->fetched, 0, 0);
	rc = pthread_create(&t->thread, NULL, serve, t);
	if (rc) {
		error_set(why, "cannot start a thread: %s", strerror(rc));
		return -rc;
	}
	t->started = true;
	while (sem_wait(&t->fetched))
		; /* interrupted */
	*why = t->why;
	return t->rc;
}

int queues_start(struct queues *queues, const struct queues_config *config,
		 struct error *why)
{
	int rc = 0;

	*queues = (struct queues){ .config = *config };
	queues->threads = calloc(count(queues), sizeof *queues->threads);
	if (!queues->threads) {
		error_set(why, "out of memory for the queues");
		return -ENOMEM;
	}
	for (uint16_t i = 0; i < count(queues) && !rc; i++) {
		queues->threads[i].queues = queues;
		queues->threads[i].number = i;
		rc = start_thread(&queues->threads[i], why);
	}
	return rc;
}

bool queues_any_ended(const struct queues *queues)
{
	return atomic_load(&queues->n_ended) > 0;
}

void queues_end(struct queues *queues, bool now)
{
	for (uint16_t i = 0; queues->threads && i < count(queues); i++) {
		struct queues_thread *t = &queues->threads[i];

		if (!t->started)
			continue;
		if (now && !t->rc)
			loop_end(&t->loop);
		pthread_join(t->thread, NULL);
		t->started = false;
	}
}

uint64_t queues_memory_bytes(const struct queues *queues)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < count(queues); i++)
		bytes += loop_memory_bytes(&queues->threads[i].loop) +
			 queue_memory_bytes(&queues->threads[i].queue);
	return bytes;
}
