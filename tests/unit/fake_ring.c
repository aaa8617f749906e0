#include "fake_ring.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct shared {
	unsigned sq_head, sq_tail, cq_head, cq_tail;
};

static unsigned power_of_two(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

void fake_ring_init(struct io_uring *ring, unsigned entries, unsigned flags)
{
	struct shared *shared = calloc(1, sizeof *shared);
	unsigned n = power_of_two(entries);

	*ring = (struct io_uring){
		.flags = flags,
		.ring_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
		.sq = { .khead = &shared->sq_head,
			.ktail = &shared->sq_tail,
			.sqes = calloc(2 * n, sizeof(struct io_uring_sqe)),
			.ring_entries = n,
			.ring_mask = n - 1,
			.ring_ptr = shared },
		.cq = { .khead = &shared->cq_head,
			.ktail = &shared->cq_tail,
			.cqes = calloc(2 * n, sizeof(struct io_uring_cqe)),
			.ring_entries = 2 * n,
			.ring_mask = 2 * n - 1 },
	};
}

void fake_ring_exit(struct io_uring *ring)
{
	close(ring->ring_fd);
	free(ring->sq.sqes);
	free(ring->cq.cqes);
	free(ring->sq.ring_ptr);
}

void fake_ring_post(struct io_uring *ring, uint64_t user_data, int res)
{
	struct io_uring_cqe *cqe =
		&ring->cq.cqes[*ring->cq.ktail & ring->cq.ring_mask];
	uint64_t one = 1;

	cqe->user_data = user_data;
	cqe->res = res;
	__atomic_store_n(ring->cq.ktail, *ring->cq.ktail + 1, __ATOMIC_RELEASE);
	if (write(ring->ring_fd, &one, sizeof one) != sizeof one)
		abort();
}

const struct io_uring_sqe *fake_ring_take(struct io_uring *ring)
{
	unsigned shift = ring->flags & IORING_SETUP_SQE128 ? 1 : 0;
	unsigned head = *ring->sq.khead;

	if (head == ring->sq.sqe_tail)
		return NULL;
	++*ring->sq.khead;
	return &ring->sq.sqes[(head & ring->sq.ring_mask) << shift];
}
