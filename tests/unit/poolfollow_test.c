/* plugin/service/poolfollow.c: a pool tells of its servers all the time, and
 * what follows it takes no more of the processor for that. */
#include "service/poolfollow.h"
#include "ledger.h"
#include "servers/core.h"
#include "service/poolpick.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

#define MEMBERS	   1000u
#define SERVERS	   16u
#define SLAB_BYTES UINT64_C(2097152)

static struct members_entry entries[MEMBERS];
static struct server servers[SERVERS];
static struct members members;
static struct engine engine;
static struct ledger ledger;
static struct poolfollow follow;

/* What chooses a server to join. */
static unsigned picks;
int __real_poolpick_choose(const struct poolpick *pick, struct net_name *names,
			   uint32_t n);
int __wrap_poolpick_choose(const struct poolpick *pick, struct net_name *names,
			   uint32_t n);
int __wrap_poolpick_choose(const struct poolpick *pick, struct net_name *names,
			   uint32_t n)
{
	picks++;
	return __real_poolpick_choose(pick, names, n);
}

static void name_entry(unsigned i)
{
	struct members_entry *entry = &entries[i];
	struct member *m = &entry->member;

	*entry = (struct members_entry){ .is_understood = true };
	snprintf(m->address.host, sizeof m->address.host, "s%04u", i);
	m->address.port = 1;
	entry->address = net_name_format(&m->address);
	snprintf(m->state, sizeof m->state, "serving");
	m->transports = WIRE_TRANSPORT_TCP;
	m->slab_bytes = SLAB_BYTES;
	m->memory_bytes = 100 * SLAB_BYTES;
}

/* The pool is full.  The device uses all servers that it may but the last,
 * which is vacant. */
static int begin(void **state)
{
	(void)state;
	members = (struct members){ .entries = entries, .n = MEMBERS };
	engine = (struct engine){ .servers = servers,
				  .n_servers = SERVERS,
				  .config = { .servers_max = SERVERS },
				  .slabs.geometry.slab_bytes = SLAB_BYTES };
	follow = (struct poolfollow){ .members = &members,
				      .engine = &engine,
				      .ledger = &ledger,
				      .pool = "blue" };
	for (unsigned i = 0; i < MEMBERS; i++)
		name_entry(i);
	memset(servers, 0, sizeof servers);
	for (unsigned i = 0; i < SERVERS; i++) {
		struct server *server = &servers[i];

		server->engine = &engine;
		server->index = i;
		server->wake_fd = -1;
		pthread_mutex_init(&server->lock, NULL);
		if (i == SERVERS - 1)
			continue;
		server->name = entries[i * 50].member.address;
		server->text = entries[i * 50].address;
		atomic_store(&server->shared.in_use, true);
		atomic_store(&server->shared.wanted, true);
		atomic_store(&server->shared.state, SERVER_UP);
		atomic_store(&server->shared.slabs, 1);
	}
	picks = 0;
	return 0;
}

/* As the machine may be busy, the test takes longer or not. */
static void events_come_more_often_than_it_looks(void **state)
{
	uint64_t began_ns = clock_now_ns(), again_ns = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		again_ns = poolfollow_step(&follow);
	assert_in_range(picks, 1,
			1 + (clock_now_ns() - began_ns) / (200 * NS_PER_MS));
	assert_true(clock_left_ns(again_ns) <= 200 * NS_PER_MS);
	/* what came meanwhile is looked at then */
	entries[0].member.load_permille = 7;
	while (clock_left_ns(again_ns))
		poolfollow_step(&follow);
	poolfollow_step(&follow);
	assert_int_equal(atomic_load(&servers[0].shared.load_permille), 7);
}

static void a_key_that_is_gone_is_noticed(void **state)
{
	(void)state;
	entries[3 * 50].member.load_permille = 7;
	entries[4 * 50].is_understood = false;
	members.n = 14 * 50;
	poolfollow_step(&follow);
	for (unsigned i = 0; i < SERVERS - 1; i++)
		assert_int_equal(atomic_load(&servers[i].shared.wanted),
				 i < 14);
	assert_int_equal(atomic_load(&servers[3].shared.load_permille), 7);
}

/* Its key has the same address, written in another way. */
static void a_key_in_another_spelling(void **state)
{
	(void)state;
	snprintf(entries[0].address.text, sizeof entries[0].address.text,
		 "[s0000]:01");
	poolfollow_step(&follow);
	assert_true(atomic_load(&servers[0].shared.wanted));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(events_come_more_often_than_it_looks,
				       begin),
		cmocka_unit_test_setup(a_key_that_is_gone_is_noticed, begin),
		cmocka_unit_test_setup(a_key_in_another_spelling, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
