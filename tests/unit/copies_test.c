/* Pages on several servers: copies and shares of them, over servers that fail,
 * fall silent, go, and answer wrong bytes.  With the repairer at work. */
#include "fake_servers.h"

#include <errno.h>

#include "io/transfer.h"
#include "repair/repair.h"
#include "servers/session.h"

#define SERVERS 4
#define PAGES	40u /* slabs 0, 1 and half of 2, with copies */

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

/* What the tests run with, one after the other. */
static const struct scheme {
	uint32_t copies, data, parity;
	uint32_t may_fail; /* servers at a time */
} schemes[] = {
	{ 2, 0, 0, 1 }, { 3, 0, 0, 2 }, { 0, 2, 1, 1 }, { 0, 2, 2, 2 }
};

static void start_scheme(const struct scheme *s)
{
	struct error why;

	fake_start_copies(SERVERS, 4, LONG_MS, s->copies, s->data, s->parity);
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_fill(sent, 0, PAGES, 1);
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	assert_int_equal(repair_start(&fake.engine, &why), 0);
}

static void end_scheme(void)
{
	repair_stop(&fake.engine);
	assert_counts_right();
	fake_stop();
}

static void with_each_scheme(void (*test)(const struct scheme *s))
{
	for (size_t i = 0; i < COUNT(schemes); i++) {
		start_scheme(&schemes[i]);
		test(&schemes[i]);
		end_scheme();
	}
}

static void assert_reads_right(void)
{
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, sizeof sent);
}

/* Until the repairer finds nothing that lacks a shard. */
static void await_repair(void)
{
	struct repair *k = fake.engine.repair;

	/* A pass that began before the call may not have seen what came after:
	 * its end is not counted. */
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (atomic_load(&k->short_slabs) || atomic_load(&k->moving_slabs) ||
	       atomic_load(&k->stale_pages));
}

/* The shards of PAGE's slab that are LIVE. */
static uint32_t live_shards(uint64_t page)
{
	struct slab_table *table = &fake.engine.slabs;
	const struct slab *slab = &table->slabs[slab_of_page(table, page)];
	uint32_t n = 0;

	for (uint32_t i = 0; i < table->n_shards; i++)
		n += shard_is_live(&slab->shards[i]);
	return n;
}

static void reopen(uint32_t machine)
{
	fake_link_up(machine);
	atomic_store(&fake.engine.servers[machine].shared.free_bytes,
		     UINT64_C(1) << 30);
	server_set_state(&fake.engine.servers[machine], SERVER_UP);
}

/* --- the tests --- */

static void *read_a_page(void *arg)
{
	*(int *)arg = fake_read(got, 0, 1);
	return NULL;
}

static void each_shard_is_on_another_server(const struct scheme *s)
{
	struct slab_table *table = &fake.engine.slabs;

	(void)s;
	for (uint64_t page = 0; page < PAGES; page++) {
		const struct slab *slab =
			&table->slabs[slab_of_page(table, page)];
		uint32_t servers = 0;

		assert_int_equal(live_shards(page),
				 fake.engine.redundancy.shards);
		for (uint32_t i = 0; i < table->n_shards; i++) {
			if (shard_is_live(&slab->shards[i]))
				servers |= 1u << slab->shards[i].server;
		}
		assert_int_equal(__builtin_popcount(servers),
				 fake.engine.redundancy.shards);
	}
	assert_reads_right();
}

static void reads_go_on_without_servers_that_are_broken(const struct scheme *s)
{
	for (uint32_t first = 0; first < SERVERS; first++) {
		for (uint32_t i = 0; i < s->may_fail; i++) {
			uint32_t machine = (first + i) % SERVERS;

			atomic_store(&fake.sessions[machine].no_repair, true);
			server_break(&fake.engine.servers[machine], "the test");
		}
		assert_reads_right();
		for (uint32_t i = 0; i < SERVERS; i++)
			atomic_store(&fake.sessions[i].no_repair, false);
		for (uint32_t i = 0; i < SERVERS; i++)
			assert_int_equal(server_wait(&fake.engine.servers[i],
						     after_ms(LONG_MS)),
					 0);
	}
}

static void
what_a_broken_server_missed_is_not_read_from_it(const struct scheme *s)
{
	(void)s;
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		atomic_store(&fake.sessions[machine].no_repair, true);
		server_break(&fake.engine.servers[machine], "the test");
		fake_fill(sent, 0, PAGES, 10 + machine);
		assert_int_equal(fake_write(sent, 0, PAGES), 0);
		assert_reads_right();
		atomic_store(&fake.sessions[machine].no_repair, false);
		for (int i = 0; i < 40; i++)
			assert_reads_right();
		await_repair();
	}
	assert_reads_right();
}

static void a_silent_server_is_not_waited_for(const struct scheme *s)
{
	(void)s;
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		atomic_store(&fake.sessions[machine].silent, true);
		for (int i = 0; i < 40; i++)
			assert_reads_right();
		atomic_store(&fake.sessions[machine].silent, false);
		for (int i = 0; i < 10; i++)
			assert_reads_right();
	}
}

static void a_write_does_without_a_silent_server(const struct scheme *s)
{
	(void)s;
	fake.engine.attempt_ns = 50 * NS_PER_MS;
	atomic_store(&fake.sessions[1].silent, true);
	fake_fill(sent, 0, PAGES, 5);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	atomic_store(&fake.sessions[1].silent, false);
	assert_reads_right();
	await_repair();
	assert_reads_right();
}

static void what_a_lost_server_held_is_rebuilt_elsewhere(const struct scheme *s)
{
	/* 2+2 needs all four: it goes short until the server is back. */
	bool spare = fake.engine.redundancy.shards < SERVERS;

	(void)s;
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		atomic_store(&fake.sessions[machine].no_repair, true);
		fake_lose(machine);
		assert_reads_right();
		if (spare)
			await_repair();
		reopen(machine);
		atomic_store(&fake.sessions[machine].no_repair, false);
		await_repair();
		for (uint64_t page = 0; page < PAGES; page++)
			assert_int_equal(live_shards(page),
					 fake.engine.redundancy.shards);
		assert_reads_right();
	}
	assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
}

/* The LIVE shard that SERVER has of PAGE's slab, or NULL. */
static struct slab_shard *shard_on(uint64_t page, uint32_t machine)
{
	struct slab_table *table = &fake.engine.slabs;
	struct slab *slab = &table->slabs[slab_of_page(table, page)];

	for (uint32_t i = 0; i < table->n_shards; i++) {
		if (shard_is_live(&slab->shards[i]) &&
		    slab->shards[i].server == machine)
			return &slab->shards[i];
	}
	return NULL;
}

/* From here on a server that breaks is away at once. */
static void repair_at_once(void)
{
	struct error why;

	repair_stop(&fake.engine); /* which reads it */
	fake.engine.config.repair_after_ns = 1;
	fake.engine.attempt_ns = 20 * NS_PER_MS;
	fake.engine.wake.stop = false;
	assert_int_equal(repair_start(&fake.engine, &why), 0);
}

static void take_away(uint32_t machine)
{
	atomic_store(&fake.sessions[machine].no_repair, true);
	server_break(&fake.engine.servers[machine], "the test");
}

static void bring_back(uint32_t machine)
{
	struct server *server = &fake.engine.servers[machine];

	atomic_store(&server->shared.free_bytes, UINT64_C(1) << 30);
	atomic_store(&fake.sessions[machine].no_repair, false);
	assert_int_equal(server_wait(server, after_ms(LONG_MS)), 0);
}

static void
what_a_server_held_is_begun_elsewhere_while_it_is_away(const struct scheme *s)
{
	/* 2+2 needs all four. */
	bool spare = fake.engine.redundancy.shards < SERVERS;

	(void)s;
	repair_at_once();
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		take_away(machine);
		if (spare)
			await_repair();
		else
			wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
		for (uint64_t page = 0; page < PAGES; page++) {
			assert_int_equal(live_shards(page),
					 fake.engine.redundancy.shards);
			assert_true(!spare || !shard_on(page, machine));
		}
		assert_reads_right();
		bring_back(machine);
		await_repair();
		fake_fill(sent, 0, PAGES, 20 + machine);
		assert_int_equal(fake_write(sent, 0, PAGES), 0);
		assert_reads_right();
	}
	assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
}

static uint32_t twins(void)
{
	uint32_t n = 0;

	for (uint64_t page = 0; page < PAGES; page += FAKE_SLAB_PAGES)
		n += live_shards(page) > fake.engine.redundancy.shards;
	return n;
}

/* A page of each slab stays owned, so that nothing new becomes whole. */
static void a_server_that_was_away_is_taken_back(const struct scheme *s)
{
	static const uint64_t held[] = { 5, 21, 37 };
	uint32_t had = 0, given = fake.n_slabs;

	if (s->copies != 2)
		return;
	for (size_t i = 0; i < COUNT(held); i++) {
		assert_int_equal(pagemap_lock(&fake.engine.pages, held[i], 0),
				 0);
		had += shard_on(held[i], 0) != NULL;
	}
	assert_true(had > 0);
	repair_at_once();
	take_away(0);
	while (twins() < had)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	assert_int_equal(fake.n_slabs, given + had);
	bring_back(0);
	while (twins() > 0)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	for (size_t i = 0; i < COUNT(held); i++) {
		had -= shard_on(held[i], 0) != NULL;
		pagemap_unlock(&fake.engine.pages, held[i]);
	}
	assert_int_equal(had, 0); /* it has what it had */
	await_repair();
	assert_reads_right();
}

/* A shard of PAGE's slab that is on none of two servers. */
static struct slab_shard *shard_beside(uint64_t page, uint32_t a, uint32_t b)
{
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		if (machine != a && machine != b && shard_on(page, machine))
			return shard_on(page, machine);
	}
	return NULL;
}

/* Copies on other servers than SERVER lack N pages.  The repairer is stopped.
 */
static void let_others_miss(uint32_t machine, uint64_t page, uint64_t n)
{
	for (uint32_t other = 0; other < SERVERS; other++) {
		struct slab_shard *shard = shard_on(page, other);

		if (shard && other != machine)
			shard_mark(shard, page % FAKE_SLAB_PAGES, (uint32_t)n,
				   true);
	}
}

/* What only the server has that is away cannot be begun elsewhere; were it
 * tried, the few slabs that are begun at a time would be these for ever. */
static void
what_only_a_server_that_is_away_has_is_not_begun(const struct scheme *s)
{
	uint32_t machine = 0;

	if (s->copies != 2)
		return;
	repair_stop(&fake.engine);
	while (!shard_on(0, machine))
		machine++;
	let_others_miss(machine, 3, 1);
	take_away(machine);
	repair_at_once();
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (shard_on(16, machine) || shard_on(32, machine));
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	assert_int_equal(live_shards(0), 2);
	assert_non_null(shard_on(0, machine));
	bring_back(machine);
	await_repair();
	assert_reads_right();
}

/* Of three copies one lacks pages, which another one has but for the first, and
 * the third has all and is away. */
static void a_page_that_is_not_at_hand_holds_up_no_other(const struct scheme *s)
{
	struct slab_shard *filled, *source;
	uint32_t away = 0;

	if (s->copies != 3)
		return;
	repair_stop(&fake.engine);
	while (!shard_on(0, away))
		away++;
	filled = shard_beside(0, away, away);
	source = shard_beside(0, away, filled->server);
	shard_mark(filled, 2, 9, true);
	shard_mark(source, 2, 1, true);
	shard_mark(source, 7, 1, true);
	take_away(away);
	repair_at_once();
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (atomic_load(&filled->stale_chunks) > 2);
	assert_true(shard_is_stale(filled, 2) && shard_is_stale(filled, 7));
	bring_back(away);
	await_repair();
	assert_reads_right();
}

static void too_many_lost_servers_are_an_error(const struct scheme *s)
{
	uint32_t held = fake.engine.redundancy.shards;

	(void)s;
	repair_stop(&fake.engine); /* which would repair in between */
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		atomic_store(&fake.sessions[machine].no_repair, true);
		fake_lose(machine);
	}
	assert_int_equal(fake_read(got, 0, 1), -EIO);
	assert_int_equal(atomic_load(&fake.engine.pages.lost), PAGES);
	assert_true(held > 1);
}

/* The repairer is not at work: the next write needs none. */
static void a_slab_with_too_few_shards_is_free_at_once(const struct scheme *s)
{
	const struct slab *slab = &fake.engine.slabs.slabs[0];
	uint32_t lost[SERVERS], n = s->may_fail + 1;

	repair_stop(&fake.engine);
	for (uint32_t i = 0; i < n; i++)
		lost[i] = slab->shards[i].server;
	for (uint32_t i = 0; i < n; i++) {
		atomic_store(&fake.sessions[lost[i]].no_repair, true);
		fake_lose(lost[i]);
	}
	assert_int_equal(slab_state(slab), SLAB_UNMAPPED);
	assert_int_equal(fake_read(got, 0, 1), -EIO);
	for (uint32_t i = 0; i < n; i++) {
		reopen(lost[i]);
		atomic_store(&fake.sessions[lost[i]].no_repair, false);
	}
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	assert_reads_right();
}

static void wrong_bytes_are_noticed_and_mended(const struct scheme *s)
{
	(void)s;
	for (uint64_t page = 0; page < PAGES; page += 3)
		fake_spoil(page, 0);
	for (int i = 0; i < 100; i++)
		assert_reads_right();
	assert_true(atomic_load(&fake.engine.counters.wrong_reads) > 0);
	await_repair();
	assert_reads_right();
}

/* Whichever of the shards that a page is read from is the wrong one. */
static void any_one_wrong_shard_is_found(const struct scheme *s)
{
	(void)s;
	repair_stop(&fake.engine);
	for (uint32_t i = 0; i < fake.engine.redundancy.shards; i++) {
		fake_spoil(i, i);
		assert_int_equal(fake_read(got, i, 1), 0);
		assert_memory_equal(got, sent + i * PAGE_BYTES, PAGE_BYTES);
	}
}

/* Two pages of one read are wrong, each on another server. */
static void wrong_bytes_here_and_there_are_no_error(const struct scheme *s)
{
	uint32_t last = fake.engine.redundancy.shards - 1;
	const uint32_t shards[][2] = { { 0, 1 },    { 1, 0 },	 { 0, last },
				       { last, 0 }, { 1, last }, { last, 1 } };

	(void)s;
	repair_stop(&fake.engine);
	for (uint32_t i = 0; i < COUNT(shards); i++) {
		fake_spoil(2 * i, shards[i][0]);
		fake_spoil(2 * i + 1, shards[i][1]);
		assert_int_equal(fake_read(got, 2 * i, 2), 0);
		assert_memory_equal(got, sent + 2 * i * PAGE_BYTES,
				    2 * PAGE_BYTES);
	}
}

/* One of three copies is enough, whichever it is. */
static void copies_that_are_wrong_are_all_left_out(const struct scheme *s)
{
	const struct slab *slab = &fake.engine.slabs.slabs[0];

	repair_stop(&fake.engine);
	for (uint32_t right = 0; right < 3 && s->copies == 3; right++) {
		for (uint32_t i = 0; i < 3; i++) /* it is asked last */
			atomic_store(
				&fake.engine.servers[slab->shards[i].server]
					 .shared.usual_ns,
				i == right ? NS_PER_S : 0);
		fake_spoil(right, (right + 1) % 3);
		fake_spoil(right, (right + 2) % 3);
		assert_int_equal(fake_read(got, right, 1), 0);
		assert_memory_equal(got, sent + right * PAGE_BYTES, PAGE_BYTES);
	}
}

/* All servers but one stay away; that one breaks as well, and comes back. */
static void a_server_that_comes_back_is_used_at_once(const struct scheme *s)
{
	if (s->copies != 2)
		return;
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		atomic_store(&fake.sessions[machine].no_repair, true);
		server_break(&fake.engine.servers[machine], "the test");
	}
	for (uint32_t back = 0; back < 2; back++) {
		const struct slab *slab = &fake.engine.slabs.slabs[0];
		pthread_t thread;
		int rc = -1;

		thread = thread_start(read_a_page, &rc);
		wait_until_asleep();
		atomic_store(
			&fake.sessions[slab->shards[back].server].no_repair,
			false);
		thread_end(thread);
		assert_int_equal(rc, 0);
		atomic_store(
			&fake.sessions[slab->shards[back].server].no_repair,
			true);
		server_break(&fake.engine.servers[slab->shards[back].server],
			     "the test");
	}
	for (uint32_t machine = 0; machine < SERVERS; machine++)
		atomic_store(&fake.sessions[machine].no_repair, false);
}

/* Called by the repairer just before it closes a slab. */
static void (*before_close)(struct slab *slab);

bool __real_slab_close(struct slab_table *table, struct slab *slab);
bool __wrap_slab_close(struct slab_table *table, struct slab *slab);

bool __wrap_slab_close(struct slab_table *table, struct slab *slab)
{
	void (*hook)(struct slab * slab) = before_close;

	if (hook) {
		before_close = NULL;
		hook(slab);
	}
	return __real_slab_close(table, slab);
}

static void take_the_spare_shard(struct slab *slab)
{
	atomic_store(&slab->shards[2].state, SHARD_LIVE);
	atomic_store(&slab->shards[0].state, SHARD_NONE);
}

/* Its server was lost before the repairer attached it, the slab as well, and a
 * write had that allocated anew, with the same shard. */
static void a_shard_that_others_took_is_not_attached(void **state)
{
	struct error why;
	struct slab *slab;

	(void)state;
	fake_start_copies(SERVERS, 4, LONG_MS, 2, 0, 0);
	slab = &fake.engine.slabs.slabs[0];
	fake_map_slab(0, 0); /* and 1 */
	fake_fill(sent, 0, 4, 1);
	assert_int_equal(fake_write(sent, 0, 4), 0);
	slab->shards[2].server = 2;
	slab->shards[2].index = slab->shards[0].index;
	atomic_store(&slab->shards[2].state, SHARD_SPARE);
	/* nobody has room, or is there to copy from */
	server_break(&fake.engine.servers[1], "the test");
	for (uint32_t i = 0; i < SERVERS; i++)
		atomic_store(&fake.engine.servers[i].shared.free_bytes, 0);
	atomic_store(&fake.engine.servers[2].shared.release_slabs, UINT32_MAX);
	before_close = take_the_spare_shard;
	assert_int_equal(repair_start(&fake.engine, &why), 0);
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	repair_stop(&fake.engine);
	assert_null(before_close);
	assert_int_equal(shard_state(&slab->shards[2]), SHARD_LIVE);
	assert_int_equal(atomic_load(&slab->shards[2].stale_chunks), 0);
	fake_stop();
}

static void break_the_new_one(struct slab *slab)
{
	(void)slab;
	server_break(&fake.engine.servers[2], "the test");
}

static void miss_a_write_at_the_new_one(struct slab *slab)
{
	shard_mark(&slab->shards[1], 0, 1, true);
}

static void (*meanwhile)(struct slab *slab);

/* The pass that closes the slab is the repairer's last one: a later one might
 * copy what is missing, and then give the shard back. */
static void end_meanwhile(struct slab *slab)
{
	meanwhile(slab);
	wake_stop(&fake.engine.wake);
}

static void await_hook(void)
{
	uint64_t until_ns = after_ms(LONG_MS);

	while (!wake_stopping(&fake.engine.wake) && clock_left_ns(until_ns))
		sleep_ms(1);
}

/* The pages were moved, and then HAPPENS is called. */
static void keeps_a_shard_that_leaves(void (*happens)(struct slab *slab))
{
	struct error why;
	struct slab *slab;

	fake_start(SERVERS, 4, LONG_MS);
	slab = &fake.engine.slabs.slabs[0];
	fake_map_slab(0, 0);
	fake_fill(sent, 0, 4, 1);
	assert_int_equal(fake_write(sent, 0, 4), 0);
	slab->shards[1].server = 2;
	slab->shards[1].index = slab->shards[0].index;
	atomic_store(&slab->shards[1].state, SHARD_LIVE);
	atomic_store(&fake.engine.servers[0].shared.release_slabs, UINT32_MAX);
	meanwhile = happens;
	before_close = end_meanwhile;
	assert_int_equal(repair_start(&fake.engine, &why), 0);
	await_hook();
	repair_stop(&fake.engine);
	assert_null(before_close);
	assert_int_equal(shard_state(&slab->shards[0]), SHARD_LIVE);
	fake_stop();
}

/* A request that was in the slab found that the new server does not answer. */
static void a_shard_stays_while_the_new_ones_server_is_away(void **state)
{
	(void)state;
	keeps_a_shard_that_leaves(break_the_new_one);
}

static void a_shard_stays_while_the_new_one_lacks_a_page(void **state)
{
	(void)state;
	keeps_a_shard_that_leaves(miss_a_write_at_the_new_one);
}

static void wrong_bytes_without_another_copy_are_an_error(void **state)
{
	(void)state;
	fake_start(SERVERS, 4, LONG_MS);
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_fill(sent, 0, PAGES, 1);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	fake_spoil(3, 0);
	assert_int_equal(fake_read(got, 2, 1), 0);
	assert_int_equal(fake_read(got, 3, 1), -EIO);
	assert_int_equal(fake_read(got, 0, 16), -EIO);
	assert_int_equal(fake_write(sent + 3 * PAGE_BYTES, 3, 1), 0);
	assert_reads_right();
	fake_stop();
}

/* A server wants all its slabs back: they go to the one that has none yet, or,
 * with four shards, nowhere. */
static void what_a_server_wants_back_is_moved(const struct scheme *s)
{
	(void)s;
	if (fake.engine.redundancy.shards == SERVERS)
		return;
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		struct server *server = &fake.engine.servers[machine];

		atomic_store(&server->shared.free_bytes, 0);
		atomic_store(&server->shared.release_slabs, UINT32_MAX);
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
		await_repair();
		for (uint64_t i = 0; i < fake.engine.slabs.n; i++) {
			const struct slab *slab = &fake.engine.slabs.slabs[i];

			for (uint32_t j = 0; j < fake.engine.slabs.n_shards;
			     j++)
				assert_false(shard_is_live(&slab->shards[j]) &&
					     slab->shards[j].server == machine);
		}
		assert_reads_right();
		atomic_store(&server->shared.release_slabs, 0);
		atomic_store(&server->shared.free_bytes, UINT64_C(1) << 30);
	}
}

/* --- all of it at the same time --- */

#define THREADS 4
#define ROUNDS	400

struct user {
	uint64_t seed, index;
	uint64_t version[PAGES];
	unsigned errors, wrong;
};

static struct user users[THREADS];

/* Thread i has page i, i + THREADS, and so on. */
static void *use_pages(void *arg)
{
	char buf[PAGE_BYTES], expected[PAGE_BYTES];
	struct user *u = arg;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t i = random_next(&u->seed) % (PAGES / THREADS);
		uint64_t page = i * THREADS + u->index;

		if (random_next(&u->seed) % 2) {
			u->version[i] = random_next(&u->seed) >> 32 | 1;
			fake_fill(buf, page, 1, u->version[i]);
			u->errors += fake_write(buf, page, 1) != 0;
			continue;
		}
		fake_fill(expected, page, 1, u->version[i]);
		if (fake_read(buf, page, 1))
			u->errors++;
		else
			u->wrong += memcmp(buf, expected, PAGE_BYTES) != 0;
	}
	return NULL;
}

/* Servers go and come, want slabs back, and fail by turns. */
static void trouble(uint64_t *seed)
{
	uint32_t machine = random_next(seed) % SERVERS;
	struct server *server = &fake.engine.servers[machine];

	switch (random_next(seed) % 4) {
	case 0:
		atomic_store(&fake.sessions[machine].no_repair, true);
		fake_lose(machine);
		sleep_ms(2);
		reopen(machine);
		atomic_store(&fake.sessions[machine].no_repair, false);
		break;
	case 1:
		atomic_store(&server->shared.release_slabs, 2);
		sleep_ms(2);
		atomic_store(&server->shared.release_slabs, 0);
		break;
	case 2:
		atomic_store(&fake.sessions[machine].silent, true);
		sleep_ms(5);
		atomic_store(&fake.sessions[machine].silent, false);
		break;
	case 3:
		server_break(server, "the test");
		break;
	}
	/* One at a time is what is said to be survived. */
	await_repair();
}

static void
nothing_is_lost_or_wrong_whatever_one_server_does(const struct scheme *s)
{
	pthread_t threads[THREADS];
	uint64_t seed = random_seed();

	(void)s;
	fake.engine.attempt_ns = 100 * NS_PER_MS;
	for (uint64_t i = 0; i < THREADS; i++) {
		users[i] =
			(struct user){ .seed = random_next(&seed), .index = i };
		for (uint64_t j = 0; j < PAGES; j++)
			users[i].version[j] = 1;
		threads[i] = thread_start(use_pages, &users[i]);
	}
	for (int i = 0; i < 12; i++)
		trouble(&seed);
	for (int i = 0; i < THREADS; i++) {
		thread_end(threads[i]);
		assert_int_equal(users[i].wrong, 0);
		assert_int_equal(users[i].errors, 0);
	}
	assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
	assert_int_equal(atomic_load(&fake.engine.counters.wrong_reads), 0);
}

/* Takes a semicolon, as what looks like a call should. */
#define each_scheme(test)                                                      \
	static void test##_each(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		with_each_scheme(test);                                        \
	}                                                                      \
	struct scheme

each_scheme(each_shard_is_on_another_server);
each_scheme(reads_go_on_without_servers_that_are_broken);
each_scheme(what_a_broken_server_missed_is_not_read_from_it);
each_scheme(a_silent_server_is_not_waited_for);
each_scheme(a_write_does_without_a_silent_server);
each_scheme(what_a_lost_server_held_is_rebuilt_elsewhere);
each_scheme(what_a_server_held_is_begun_elsewhere_while_it_is_away);
each_scheme(a_server_that_was_away_is_taken_back);
each_scheme(what_only_a_server_that_is_away_has_is_not_begun);
each_scheme(a_page_that_is_not_at_hand_holds_up_no_other);
each_scheme(too_many_lost_servers_are_an_error);
each_scheme(a_slab_with_too_few_shards_is_free_at_once);
each_scheme(wrong_bytes_are_noticed_and_mended);
each_scheme(any_one_wrong_shard_is_found);
each_scheme(wrong_bytes_here_and_there_are_no_error);
each_scheme(copies_that_are_wrong_are_all_left_out);
each_scheme(a_server_that_comes_back_is_used_at_once);
each_scheme(what_a_server_wants_back_is_moved);
each_scheme(nothing_is_lost_or_wrong_whatever_one_server_does);

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_shard_is_on_another_server_each),
		cmocka_unit_test(
			reads_go_on_without_servers_that_are_broken_each),
		cmocka_unit_test(
			what_a_broken_server_missed_is_not_read_from_it_each),
		cmocka_unit_test(a_silent_server_is_not_waited_for_each),
		cmocka_unit_test(a_write_does_without_a_silent_server_each),
		cmocka_unit_test(
			what_a_lost_server_held_is_rebuilt_elsewhere_each),
		cmocka_unit_test(
			what_a_server_held_is_begun_elsewhere_while_it_is_away_each),
		cmocka_unit_test(a_server_that_was_away_is_taken_back_each),
		cmocka_unit_test(
			what_only_a_server_that_is_away_has_is_not_begun_each),
		cmocka_unit_test(
			a_page_that_is_not_at_hand_holds_up_no_other_each),
		cmocka_unit_test(too_many_lost_servers_are_an_error_each),
		cmocka_unit_test(
			a_slab_with_too_few_shards_is_free_at_once_each),
		cmocka_unit_test(wrong_bytes_are_noticed_and_mended_each),
		cmocka_unit_test(wrong_bytes_without_another_copy_are_an_error),
		cmocka_unit_test(a_shard_that_others_took_is_not_attached),
		cmocka_unit_test(
			a_shard_stays_while_the_new_ones_server_is_away),
		cmocka_unit_test(a_shard_stays_while_the_new_one_lacks_a_page),
		cmocka_unit_test(any_one_wrong_shard_is_found_each),
		cmocka_unit_test(wrong_bytes_here_and_there_are_no_error_each),
		cmocka_unit_test(copies_that_are_wrong_are_all_left_out_each),
		cmocka_unit_test(a_server_that_comes_back_is_used_at_once_each),
		cmocka_unit_test(what_a_server_wants_back_is_moved_each),
		cmocka_unit_test(
			nothing_is_lost_or_wrong_whatever_one_server_does_each),
	};

	return cmocka_run_group_tests_name("copies", tests, NULL, NULL);
}
