#include "mapper.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "helper.h"
#include "join.h"

/* linux/mman.h since 5.14; older headers lack it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* The thread makes a few system calls, and its stack is locked. */
#define STACK_BYTES (32u << 10)

/* How long the end of the process waits for the thread. */
#define STOP_NS (5 * NS_PER_S)

/* --- the thread --- */

/* NULL where there is no memory.  The memory may be read and written from the
 * beginning: pages of memory to which mprotect(2) gives access are allocated
 * with the lock held that each page fault of the process takes.  mmap(2) does
 * not tell that it got only some of the pages. */
static void *map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (!madvise(p, bytes, MADV_POPULATE_WRITE) || errno == EINVAL)
		return p;
	munmap(p, bytes);
	return NULL;
}

static void unmap_all(struct mapper *mapper)
{
	struct unmapping *u = atomic_exchange(&mapper->unmappings, NULL);

	while (u) {
		struct unmapping *next = u->next;

		munmap(u, u->bytes);
		u = next;
	}
}

static void *mapper_main(void *arg)
{
	struct mapper *mapper = arg;

	while (!atomic_load(&mapper->ending)) {
		/* First, so that all is unmapped that was put before. */
		uint64_t bytes = atomic_load(&mapper->wanted_bytes);

		unmap_all(mapper);
		if (bytes) {
			mapper->made = map(bytes);
			atomic_store(&mapper->wanted_bytes, 0);
			eventfd_write(mapper->source.fd, 1);
		}
		while (sem_wait(&mapper->work))
			; /* interrupted */
	}
	unmap_all(mapper);
	return NULL;
}

/* --- the loop --- */

static void start_next(struct mapper *mapper)
{
	struct mapping *next = mapper->first;

	if (mapper->busy_bytes || !next)
		return;
	mapper->first = next->next;
	if (!mapper->first)
		mapper->last = &mapper->first;
	next->state = MAPPING_MAPPING;
	mapper->current = next;
	mapper->busy_bytes = next->bytes;
	atomic_store(&mapper->wanted_bytes, next->bytes);
	sem_post(&mapper->work);
}

/* The thread has made a mapping.  In this turn its owner takes it. */
static void ready(struct loop_source *source, short revents)
{
	struct mapper *mapper = (struct mapper *)source;
	eventfd_t n;

	(void)revents;
	eventfd_read(source->fd, &n);
	if (!mapper->busy_bytes || atomic_load(&mapper->wanted_bytes))
		return;
	if (mapper->current) {
		mapper->current->memory = mapper->made;
		mapper->current->state = MAPPING_OVER;
	} else if (mapper->made) {
		mapper_put(mapper, mapper->made, mapper->busy_bytes);
	}
	mapper->current = NULL;
	mapper->busy_bytes = 0;
	start_next(mapper);
}

void mapper_ask(struct mapper *mapper, struct mapping *mapping, uint64_t bytes)
{
	*mapping = (struct mapping){ .state = MAPPING_QUEUED,
				     .bytes = bytes,
				     .asked_ns = clock_tick_ns() };
	*mapper->last = mapping;
	mapper->last = &mapping->next;
	start_next(mapper);
}

int mapper_take(struct mapper *mapper, struct mapping *mapping, void **memory)
{
	if (mapping->state != MAPPING_OVER) {
		if (clock_tick_ns() - mapping->asked_ns < MAPPER_WAIT_NS)
			return -EINPROGRESS;
		mapper_forget(mapper, mapping);
		return -ENOMEM;
	}
	mapping->state = MAPPING_NONE;
	*memory = mapping->memory;
	return mapping->memory ? 0 : -ENOMEM;
}

static void leave_queue(struct mapper *mapper, const struct mapping *mapping)
{
	struct mapping **at = &mapper->first;

	while (*at != mapping)
		at = &(*at)->next;
	*at = mapping->next;
	if (!*at)
		mapper->last = at;
}

void mapper_forget(struct mapper *mapper, struct mapping *mapping)
{
	switch (mapping->state) {
	case MAPPING_NONE:
		break;
	case MAPPING_QUEUED:
		leave_queue(mapper, mapping);
		break;
	case MAPPING_MAPPING:
		mapper->current = NULL;
		break;
	case MAPPING_OVER:
		if (mapping->memory)
			mapper_put(mapper, mapping->memory, mapping->bytes);
		break;
	}
	mapping->state = MAPPING_NONE;
}

void mapper_put(struct mapper *mapper, void *memory, uint64_t bytes)
{
	struct unmapping *u = memory;

	*u = (struct unmapping){ .next = atomic_load(&mapper->unmappings),
				 .bytes = bytes };
	while (!atomic_compare_exchange_weak(&mapper->unmappings, &u->next, u))
		;
	sem_post(&mapper->work);
}

/* --- life --- */

int mapper_start(struct mapper *mapper, struct loop *loop, struct error *why)
{
	const struct helper helper = { .name = "rswap-mapper",
				       .main = mapper_main,
				       .arg = mapper,
				       .stack_bytes = STACK_BYTES,
				       .maps = true };
	int rc;

	memset(mapper, 0, sizeof *mapper);
	mapper->loop = loop;
	mapper->last = &mapper->first;
	mapper->source = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = POLLIN,
		.ready = ready,
	};
	if (mapper->source.fd < 0) {
		rc = errno;
		error_set(why, "eventfd: %s", strerror(rc));
		return -rc;
	}
	sem_init(&mapper->work, 0, 0);
	rc = helper_start_as(&mapper->thread, &helper);
	if (rc) {
		error_set(why, "cannot start a thread: %s", strerror(rc));
		close(mapper->source.fd);
		sem_destroy(&mapper->work);
		return -rc;
	}
	loop_add(loop, &mapper->source);
	return 0;
}

bool mapper_stop(struct mapper *mapper)
{
	loop_remove(mapper->loop, &mapper->source);
	atomic_store(&mapper->ending, true);
	sem_post(&mapper->work);
	if (!join_until(mapper->thread, clock_now_ns() + STOP_NS))
		return false;
	close(mapper->source.fd);
	sem_destroy(&mapper->work);
	return true;
}
