/* An nbdkit plugin that serves memory and lies now and then: the torture tool
 * has to notice each kind.
 *
 *   nbdkit liar.so size=SIZE lie=KIND [every=N]
 *
 *   none      the truth
 *   drop      a write is acknowledged, and not done
 *   zeros     a page is read as zeros
 *   previous  a page is read as it was before its last write
 *   swap      a page is read as its neighbour
 *   tear      half of a write is done, all of it is acknowledged
 *   late      a write fails, and comes into force after the next one
 *   diverge   a write fails, and from then on reads return it or the page it
 *             was to replace, in turn
 *   eio       a read fails
 *   hang      a read waits for 3 seconds
 *
 * One page in N, of those read or written, gets the lie. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define PAGE	     4096u

enum lie {
	NONE,
	DROP,
	ZEROS,
	PREVIOUS,
	SWAP,
	TEAR,
	LATE,
	DIVERGE,
	FAIL,
	HANG,
	LIES
};

static const char *const names[] = { "none", "drop", "zeros", "previous",
				     "swap", "tear", "late",  "diverge",
				     "eio",  "hang" };

struct page {
	char now[PAGE], before[PAGE], other[PAGE];
	bool has_other;
	unsigned reads;
};

static int64_t size;
static enum lie lie;
static unsigned every = 500, counter;
static struct page *pages;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int liar_config(const char *key, const char *value)
{
	if (!strcmp(key, "size"))
		return (size = nbdkit_parse_size(value)) < 0 ? -1 : 0;
	if (!strcmp(key, "every"))
		return nbdkit_parse_unsigned(key, value, &every);
	for (int i = 0; !strcmp(key, "lie") && i < LIES; i++) {
		if (!strcmp(value, names[i])) {
			lie = (enum lie)i;
			return 0;
		}
	}
	nbdkit_error("%s=%s: no such lie", key, value);
	return -1;
}

static int liar_get_ready(void)
{
	pages = calloc((size_t)size / PAGE + 1, sizeof *pages);
	if (!pages || !every) {
		nbdkit_error("size and every must be more than 0");
		return -1;
	}
	return 0;
}

static void liar_unload(void)
{
	free(pages);
}

static void *liar_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t liar_get_size(void *handle)
{
	(void)handle;
	return size;
}

static int liar_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static bool time_for(enum lie kind)
{
	return lie == kind && ++counter % every == 0;
}

/* False: the request fails. */
static bool read_page(struct page *p, void *buf)
{
	const char *from = p->now;

	if (time_for(FAIL))
		return false;
	if (p->has_other && lie == DIVERGE && p->reads++ % 2)
		from = p->other;
	if (time_for(PREVIOUS))
		from = p->before;
	if (time_for(SWAP))
		from = p == pages ? p[1].now : p[-1].now;
	memcpy(buf, from, PAGE);
	if (time_for(ZEROS))
		memset(buf, 0, PAGE);
	return true;
}

static bool write_page(struct page *p, const void *buf)
{
	bool comes_late = p->has_other && lie == LATE;

	if (time_for(DROP))
		return true;
	if (time_for(LATE) || time_for(DIVERGE)) {
		memcpy(p->other, buf, PAGE);
		p->has_other = true;
		return false;
	}
	memcpy(p->before, p->now, PAGE);
	memcpy(p->now, comes_late ? p->other : buf,
	       time_for(TEAR) ? PAGE / 2 : PAGE);
	p->has_other = false;
	return true;
}

static int liar_pread(void *handle, void *buf, uint32_t count, uint64_t offset,
		      uint32_t flags)
{
	bool ok = true, hang;

	(void)handle, (void)flags;
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < count; i += PAGE)
		ok &= read_page(&pages[(offset + i) / PAGE], (char *)buf + i);
	hang = time_for(HANG);
	pthread_mutex_unlock(&lock);
	if (hang)
		sleep(3);
	if (!ok)
		nbdkit_set_error(EIO);
	return ok ? 0 : -1;
}

static int liar_pwrite(void *handle, const void *buf, uint32_t count,
		       uint64_t offset, uint32_t flags)
{
	bool ok = true;

	(void)handle, (void)flags;
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < count; i += PAGE)
		ok &= write_page(&pages[(offset + i) / PAGE],
				 (const char *)buf + i);
	pthread_mutex_unlock(&lock);
	if (!ok)
		nbdkit_set_error(EIO);
	return ok ? 0 : -1;
}

static int liar_zero(void *handle, uint32_t count, uint64_t offset,
		     uint32_t flags)
{
	static const char zeros[PAGE];
	bool ok = true;

	(void)handle, (void)flags;
	pthread_mutex_lock(&lock);
	for (uint32_t i = 0; i < count; i += PAGE)
		ok &= write_page(&pages[(offset + i) / PAGE], zeros);
	pthread_mutex_unlock(&lock);
	if (!ok)
		nbdkit_set_error(EIO);
	return ok ? 0 : -1;
}

static int liar_flush(void *handle, uint32_t flags)
{
	(void)handle, (void)flags;
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "liar",
	.config = liar_config,
	.get_ready = liar_get_ready,
	.unload = liar_unload,
	.open = liar_open,
	.get_size = liar_get_size,
	.can_multi_conn = liar_can_multi_conn,
	.pread = liar_pread,
	.pwrite = liar_pwrite,
	.zero = liar_zero,
	.trim = liar_zero,
	.flush = liar_flush,
};

NBDKIT_REGISTER_PLUGIN(plugin)
