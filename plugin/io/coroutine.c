#include "coroutine.h"

#include <errno.h>
#include <stdlib.h>

#include "transport/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

/* Requests were seen to use 7 KiB, most of it for their struct io.  While a
 * request searches for wrong shards it has one more of 3.4 KiB.  This is twice
 * the sum of both.  Sanitizers need more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (512u << 10)
#else
#define STACK_BYTES (24u << 10)
#endif

/* The C interface of libboost_context, which has no header for C
 * (boost/context/detail/fcontext.hpp). */
typedef void *fcontext_t;
typedef struct {
	fcontext_t from; /* the context that jumped */
	void *data;
} transfer_t;
transfer_t jump_fcontext(fcontext_t to, void *data);
fcontext_t make_fcontext(void *stack_top, size_t bytes,
			 void (*run)(transfer_t));

struct coroutine {
	fcontext_t context; /* where it was suspended */
	fcontext_t thread;  /* where it was resumed */
	struct coroutine_pool *pool;
	struct coroutine *next; /* in the free list */
	void (*run)(void *arg);
	void *arg;
	bool ended;
	struct suspension wait;
	uint8_t *stack;
#if defined(__SANITIZE_ADDRESS__)
	void *fake_stack, *thread_fake_stack;
	const void *thread_stack;
	size_t thread_stack_bytes;
#elif defined(__SANITIZE_THREAD__)
	void *fiber, *thread_fiber;
#endif
};

/* The coroutine that this thread runs, or NULL.  initial-exec places the
 * variable in the thread's static TLS block, so that the first use allocates
 * nothing. */
static _Thread_local struct coroutine *inside
	__attribute__((tls_model("initial-exec")));

/* --- what the sanitizers are told --- */

/* ThreadSanitizer counts the calls of each fiber: a function may not begin on
 * one and end on another. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

static void tell_created(struct coroutine *c)
{
	(void)c;
#if defined(__SANITIZE_THREAD__)
	c->fiber = __tsan_create_fiber(0);
#endif
}

static void tell_destroyed(struct coroutine *c)
{
	(void)c;
#if defined(__SANITIZE_THREAD__)
	__tsan_destroy_fiber(c->fiber);
#endif
}

/* By the thread, before and after it runs C. */
static ALWAYS_INLINE void tell_entering(struct coroutine *c)
{
	(void)c;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(&c->thread_fake_stack, c->stack,
				       STACK_BYTES);
#elif defined(__SANITIZE_THREAD__)
	c->thread_fiber = __tsan_get_current_fiber();
	__tsan_switch_to_fiber(c->fiber, 0);
#endif
}

static ALWAYS_INLINE void tell_back(struct coroutine *c)
{
	(void)c;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(c->thread_fake_stack, NULL, NULL);
#endif
}

/* By C, after it was entered and before it leaves. */
static ALWAYS_INLINE void tell_entered(struct coroutine *c)
{
	(void)c;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_finish_switch_fiber(c->fake_stack, &c->thread_stack,
					&c->thread_stack_bytes);
#endif
}

static ALWAYS_INLINE void tell_leaving(struct coroutine *c)
{
	(void)c;
#if defined(__SANITIZE_ADDRESS__)
	__sanitizer_start_switch_fiber(&c->fake_stack, c->thread_stack,
				       c->thread_stack_bytes);
#elif defined(__SANITIZE_THREAD__)
	__tsan_switch_to_fiber(c->thread_fiber, 0);
#endif
}

/* --- switching --- */

static void leave(struct coroutine *c)
{
	tell_leaving(c);
	c->thread = jump_fcontext(c->thread, NULL).from;
	tell_entered(c);
}

/* The first frame of a coroutine, which goes from one run to the next. */
static void first_frame(transfer_t entry)
{
	struct coroutine *c = entry.data;

	c->thread = entry.from;
	tell_entered(c);
	for (;;) {
		c->run(c->arg);
		c->ended = true;
		leave(c);
	}
}

static struct coroutine *enter(struct coroutine *c)
{
	inside = c;
	tell_entering(c);
	c->context = jump_fcontext(c->context, c).from;
	tell_back(c);
	inside = NULL;
	if (!c->ended)
		return c;
	c->next = c->pool->free;
	c->pool->free = c;
	return NULL;
}

struct coroutine *coroutine_start(struct coroutine_pool *pool,
				  void (*run)(void *arg), void *arg)
{
	struct coroutine *c = pool->free;

	pool->free = c->next;
	c->run = run;
	c->arg = arg;
	c->ended = false;
	return enter(c);
}

struct coroutine *coroutine_resume(struct coroutine *coroutine)
{
	return enter(coroutine);
}

const struct suspension *coroutine_wait(const struct coroutine *coroutine)
{
	return &coroutine->wait;
}

bool coroutine_inside(void)
{
	return inside != NULL;
}

struct waker *coroutine_waker(void)
{
	return inside ? inside->pool->waker : NULL;
}

void coroutine_suspend(const struct suspension *wait)
{
	struct coroutine *c = inside;

	c->wait = *wait;
	leave(c);
}

/* --- the pool --- */

int coroutine_pool_create(struct coroutine_pool *pool, uint32_t n,
			  struct waker *waker, struct error *why)
{
	*pool = (struct coroutine_pool){
		.waker = waker,
		.coroutines = calloc(n, sizeof *pool->coroutines),
		.stacks = pages_map_guarded(n, STACK_BYTES),
	};
	if (!pool->coroutines || !pool->stacks) {
		error_set(why, "out of memory for %u stacks", n);
		pages_unmap_guarded(pool->stacks, n, STACK_BYTES);
		free(pool->coroutines);
		*pool = (struct coroutine_pool){ 0 };
		return -ENOMEM;
	}
	for (; pool->n < n; pool->n++) {
		struct coroutine *c = &pool->coroutines[pool->n];

		c->pool = pool;
		c->stack = pages_guarded(pool->stacks, pool->n, STACK_BYTES);
		c->context = make_fcontext(c->stack + STACK_BYTES, STACK_BYTES,
					   first_frame);
		c->next = pool->free;
		pool->free = c;
		tell_created(c);
	}
	return 0;
}

void coroutine_pool_destroy(struct coroutine_pool *pool)
{
	for (uint32_t i = 0; i < pool->n; i++)
		tell_destroyed(&pool->coroutines[i]);
	free(pool->coroutines);
	pages_unmap_guarded(pool->stacks, pool->n, STACK_BYTES);
	*pool = (struct coroutine_pool){ 0 };
}

uint64_t coroutine_pool_bytes(const struct coroutine_pool *pool)
{
	return (uint64_t)pool->n * (STACK_BYTES + sizeof *pool->coroutines);
}
