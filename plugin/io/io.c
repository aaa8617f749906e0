#include "io.h"

void io_begin(struct io *io, struct engine *engine, struct lane *lane,
	      uint64_t deadline_ns)
{
	io->engine = engine;
	io->lane = lane;
	io->deadline_ns = deadline_ns;
	io->obstacle = (struct obstacle){ 0 };
	io->attempts = 0;
	io->unsent = false;
	io->read_again = 0;
	io->units = NULL;
	io->n_runs = io->n_locked = 0;
}

void io_leave(struct io *io)
{
	lane_links_release(&io->engine->lanes, io->lane);
	for (size_t i = 0; i < io->n_runs; i++) {
		if (io->runs[i].entered)
			slab_leave(io->runs[i].slab);
		io->runs[i].entered = false;
	}
}

uint32_t io_max_runs(const struct engine *engine)
{
	uint32_t n = TRANSPORT_MAX_XFERS / (engine->redundancy.shards + 1);

	return n < LANE_PAGES ? n : LANE_PAGES;
}
