/* What mock_verbs.c, the devices, and mock_cm.c, the connection manager, share.
 */
#ifndef RSWAP_TEST_MOCK_INSIDE_H
#define RSWAP_TEST_MOCK_INSIDE_H

#include "mock_verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define WORK_MAX 256

struct work {
	struct ibv_send_wr wr;
	struct ibv_sge sge;
};

/* A connection's id and its queue pair. */
struct mock_id {
	struct rdma_cm_id id; /* first */
	struct ibv_qp qp;
	bool in_error;
	struct work work[WORK_MAX];
	size_t n_work;
	enum mock_step step; /* whose answer comes next */
	bool answered;	     /* and has not been taken */
	int unacked;	     /* events */
	struct mock_id *next;
};

/* Guards what threads share: the counts, the ids, and what a test asks for
 * later.  Never held while a test's own function runs. */
extern pthread_mutex_t mock_lock;

extern struct ibv_context mock_contexts[MOCK_DEVICES];
extern struct mock_id *mock_ids; /* all */

/* Whether this call of NAME is to fail; errno is set then. */
static inline bool fails(const char *name)
{
	if (mock.fail_too && !strcmp(mock.fail_too, name)) {
		errno = mock.fail_errno;
		return true;
	}
	if (!mock.fail || strcmp(mock.fail, name) != 0)
		return false;
	if (mock.fail_after > 0) {
		mock.fail_after--;
		return false;
	}
	errno = mock.fail_errno;
	return true;
}

static inline void must(bool condition)
{
	if (!condition)
		atomic_fetch_add(&mock.wrong, 1);
}

/* Changes one of the counts, of what exists or of who uses it. */
static inline void add(int *count, int n)
{
	pthread_mutex_lock(&mock_lock);
	*count += n;
	pthread_mutex_unlock(&mock_lock);
}

/* The handle of what is made here is how many use it. */
static inline void use(uint32_t *handle, int n)
{
	add((int *)handle, n);
}

static inline void *make(size_t bytes, int *count)
{
	void *object = calloc(1, bytes);

	if (!object)
		abort();
	add(count, 1);
	return object;
}

static inline void unmake(void *object, int *count)
{
	add(count, -1);
	free(object);
}

static inline void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof one) != sizeof one)
		abort();
}

/* False where there is none to take and FD does not block. */
static inline bool take_signal(int fd)
{
	uint64_t one;
	ssize_t n = read(fd, &one, sizeof one);

	if (n != sizeof one && errno != EAGAIN)
		abort();
	return n == sizeof one;
}

#endif
