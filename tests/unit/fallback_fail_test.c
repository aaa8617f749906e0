/* A fallback whose disk fails at once: every transfer ends with an error that
 * the kernel gives, and no request and no thread may repeat it without a pause.
 * The file is cut off behind its header, which fails reads, and RLIMIT_FSIZE
 * fails writes. */
#include "engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fallback_dir.h"
#include "servers/session.h"
#include "support.h"

#define SLAB_BYTES (64u << 10)
#define TIMEOUT_MS 1500

/* How long the session waits from one attempt to the next
 * (servers/session_local.c). */
#define PAUSE_NS (250 * NS_PER_MS)

static char path[64];
static struct engine engine;
static struct server *disk;
static struct net_name absent = { .host = "192.0.2.1", .port = 1 };
static struct rlimit no_limit;
static char page[PAGE_BYTES], back[PAGE_BYTES];

static int setup(void **state)
{
	struct fallback_config f = { .path = path,
				     .default_slots = 4,
				     .slab_bytes = SLAB_BYTES,
				     .chunk_bytes = PAGE_BYTES };
	/* The server has no session: only the disk is there. */
	struct engine_config config = { .servers = &absent,
					.n_servers = 1,
					.size_bytes = 4 * SLAB_BYTES,
					.lanes = 2,
					.redundancy.copies = 1,
					.timeout_ns = TIMEOUT_MS * NS_PER_MS,
					.checksum = true,
					.fallback = path };
	struct fallback fallback;
	struct error why = { "" };

	(void)state;
	quiet_log();
	if (fallback_open(&fallback, &f, &why) ||
	    engine_create(&engine, &config, SLAB_BYTES, &fallback, &why))
		fail_msg("%s", why.text);
	disk = &engine.servers[1];
	assert_int_equal(session_start(disk, &why), 0);
	assert_int_equal(session_wait_first(disk, after_ms(LONG_MS), &why), 0);
	memset(page, 0x5a, sizeof page);
	assert_int_equal(engine_write(&engine, page, PAGE_BYTES, 0), 0);
	return 0;
}

static void fail_disk(void)
{
	struct rlimit limit = { FALLBACK_HEADER_BYTES, no_limit.rlim_max };

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(truncate(path, FALLBACK_HEADER_BYTES), 0);
}

static void mend_disk(void)
{
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &no_limit), 0);
}

static int teardown(void **state)
{
	(void)state;
	mend_disk();
	assert_true(engine_stop(&engine));
	engine_destroy(&engine);
	unlink(path);
	return 0;
}

/* Asserts that there was a pause between any two of ROUNDS since BEGIN_NS. */
static void assert_paused(uint64_t rounds, uint64_t begin_ns)
{
	uint64_t took_ns = clock_now_ns() - begin_ns;

	/* One without a pause to begin with, and one that is under way. */
	assert_in_range(rounds, 1, took_ns / PAUSE_NS + 2);
}

/* Repeats REQUEST while the disk fails.  Each one comes to the disk, or waits
 * until the disk may be used again. */
static void fail_often(int (*request)(void))
{
	uint64_t before = atomic_load(&disk->shared.recoveries);
	uint64_t begin_ns = clock_now_ns(), until_ns = after_ms(TIMEOUT_MS);
	uint64_t rounds = 0;

	fail_disk();
	while (clock_left_ns(until_ns) > 0) {
		assert_int_equal(request(), -EIO);
		rounds++;
	}
	assert_paused(rounds, begin_ns);
	assert_paused(atomic_load(&disk->shared.recoveries) - before, begin_ns);
}

static int read_page(void)
{
	return engine_read(&engine, back, PAGE_BYTES, 0);
}

static int write_page(void)
{
	return engine_write(&engine, page, PAGE_BYTES, 0);
}

static void reads_do_not_follow_each_other_without_a_pause(void **state)
{
	(void)state;
	fail_often(read_page);
}

static void writes_do_not_follow_each_other_without_a_pause(void **state)
{
	(void)state;
	fail_often(write_page);
}

static void a_disk_that_is_whole_again_serves(void **state)
{
	(void)state;
	fail_disk();
	assert_int_equal(write_page(), -EIO);
	mend_disk();
	memset(page, 0xa5, sizeof page);
	assert_int_equal(write_page(), 0);
	assert_int_equal(read_page(), 0);
	assert_memory_equal(back, page, PAGE_BYTES);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(reads_do_not_follow_each_other_without_a_pause),
		TEST(writes_do_not_follow_each_other_without_a_pause),
		TEST(a_disk_that_is_whole_again_serves),
	};
	int rc;

	if (getrlimit(RLIMIT_FSIZE, &no_limit))
		return 1;
	/* The signal of RLIMIT_FSIZE; ignored, the call fails with EFBIG. */
	signal(SIGXFSZ, SIG_IGN);
	if (!fallback_dir_make(path))
		return 0;
	rc = cmocka_run_group_tests_name("fallback_fail", tests, NULL, NULL);
	fallback_dir_remove(path);
	return rc;
}
