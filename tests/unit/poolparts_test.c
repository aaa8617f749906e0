/* plugin/service/poolparts.c. */
#include "service/poolparts.h"
#include "servers/core.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

#define SERVERS	   100
#define SLAB_BYTES UINT64_C(2097152)
#define LEASE	   7

static struct members_entry entries[SERVERS];
static struct server servers[SERVERS];
static struct members members;
static struct engine engine;
static struct ledger ledger;

/* Server I is in use, UP, and has a key. */
static int begin(void **state)
{
	(void)state;
	members = (struct members){ .entries = entries, .n = SERVERS };
	engine = (struct engine){ .servers = servers, .n_servers = SERVERS };
	ledger = (struct ledger){ .slab_bytes = SLAB_BYTES,
				  .lease = LEASE,
				  .parts_lease = LEASE };
	for (unsigned i = 0; i < SERVERS; i++) {
		struct members_entry *entry = &entries[i];
		struct server *server = &servers[i];

		*entry = (struct members_entry){ .is_understood = true };
		snprintf(entry->address.text, sizeof entry->address.text,
			 "s%03u:1", i);
		snprintf(entry->member.state, sizeof entry->member.state,
			 "serving");
		entry->member.memory_bytes = 100 * SLAB_BYTES;
		memset(server, 0, sizeof *server);
		snprintf(server->name.host, sizeof server->name.host, "s%03u",
			 i);
		server->name.port = 1;
		atomic_store(&server->shared.in_use, true);
		atomic_store(&server->shared.state, SERVER_UP);
	}
	return 0;
}

/* Servers FROM to TO-1 have parts. */
static void reserve_on(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++)
		ledger.servers[ledger.n++] = (struct ledger_server){
			.address = entries[i].address,
			.is_wanted = true,
			.slabs = 3,
			.has_key = true,
		};
}

static void drain(unsigned i, const char *state)
{
	snprintf(entries[i].member.state, sizeof entries[i].member.state, "%s",
		 state);
}

static const struct ledger_server *part(unsigned i)
{
	for (unsigned k = 0; k < ledger.n; k++) {
		if (!strcmp(ledger.servers[k].address.text,
			    entries[i].address.text))
			return &ledger.servers[k];
	}
	return NULL;
}

static unsigned count_wanted(void)
{
	unsigned n = 0;

	for (unsigned k = 0; k < ledger.n; k++)
		n += ledger.servers[k].is_wanted;
	return n;
}

static uint64_t misplaced(void)
{
	return poolparts_misplaced(&ledger, &members, &engine);
}

static void look_again(void)
{
	poolparts_look_again(&ledger, &members, &engine);
}

static void what_is_misplaced(void **state)
{
	(void)state;
	reserve_on(0, 4);
	assert_int_equal(misplaced(), 0);
	drain(0, "draining");
	assert_int_equal(misplaced(), 3);
	drain(0, "leaving");
	assert_int_equal(misplaced(), 3);
	drain(0, "reclaiming");
	assert_int_equal(misplaced(), 0);
	atomic_store(&servers[1].shared.in_use, false);
	assert_int_equal(misplaced(), 3);
	/* its session is lost, but it is in the pool, and may be back */
	atomic_store(&servers[2].shared.state, SERVER_DOWN);
	assert_int_equal(misplaced(), 3);
	entries[2].is_understood = false;
	assert_int_equal(misplaced(), 6);
	/* etcd has lost it, but it serves */
	entries[3].is_understood = false;
	assert_int_equal(misplaced(), 6);
}

/* The arrays of the ledger have no more room. */
static void no_more_than_a_transaction_has_room_for(void **state)
{
	(void)state;
	reserve_on(0, LEDGER_SERVERS_MAX);
	drain(0, "draining");
	drain(1, "draining");
	look_again();
	assert_int_equal(count_wanted(), LEDGER_SERVERS_MAX);
	assert_false(part(0)->is_wanted || part(1)->is_wanted);
	/* nobody had room, and one of them serves again */
	drain(0, "serving");
	look_again();
	assert_int_equal(count_wanted(), LEDGER_SERVERS_MAX);
	assert_true(part(0)->is_wanted);
	drain(1, "serving");
	look_again();
	assert_int_equal(count_wanted(), LEDGER_SERVERS_MAX);
	assert_int_equal(misplaced(), 0);
	/* tried once, and nobody knows with what result */
	for (unsigned i = LEDGER_SERVERS_MAX; i < SERVERS; i++)
		ledger.servers[ledger.n++] =
			(struct ledger_server){ .address = entries[i].address,
						.has_key = true };
	look_again();
	assert_int_equal(count_wanted(), LEDGER_SERVERS_MAX);
	assert_true(ledger.n <= 2 * LEDGER_SERVERS_MAX);
}

/* Or nobody would delete it. */
static void a_key_that_may_be_there_is_not_forgotten(void **state)
{
	(void)state;
	reserve_on(0, 1);
	ledger.servers[ledger.n++] =
		(struct ledger_server){ .address = entries[1].address,
					.has_key = true };
	drain(1, "draining");
	look_again();
	assert_non_null(part(1));
	assert_false(part(1)->is_wanted);
	assert_non_null(part(2));
	assert_false(part(2)->has_key);
}

static void own_use_does_not_count(void **state)
{
	(void)state;
	reserve_on(0, 2);
	atomic_store(&servers[0].shared.slabs, 5);
	atomic_store(&servers[2].shared.slabs, 4);
	for (unsigned i = 0; i < 3; i++)
		entries[i].member.unreserved_bytes = 10 * SLAB_BYTES;
	look_again();
	assert_int_equal(part(0)->unreserved_bytes, 8 * SLAB_BYTES);
	assert_int_equal(part(1)->unreserved_bytes, 10 * SLAB_BYTES);
	assert_int_equal(part(2)->unreserved_bytes, 6 * SLAB_BYTES);
	assert_int_equal(part(0)->memory_bytes, 100 * SLAB_BYTES);
	/* nothing is reserved any more */
	ledger.lease = 0;
	look_again();
	assert_int_equal(part(0)->unreserved_bytes, 5 * SLAB_BYTES);
	/* said before it was written */
	entries[0].member.unreserved_bytes = SLAB_BYTES;
	look_again();
	assert_int_equal(part(0)->unreserved_bytes, 0);
}

/* Others may have reserved it since. */
static void what_was_reserved_with_a_lease_that_ended_is_nothing(void **state)
{
	(void)state;
	reserve_on(0, 2);
	assert_int_equal(poolparts_bytes(&ledger, entries[1].address.text),
			 3 * SLAB_BYTES);
	assert_int_equal(poolparts_bytes(&ledger, entries[2].address.text), 0);
	ledger.lease = 0;
	assert_int_equal(poolparts_bytes(&ledger, entries[1].address.text), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			what_was_reserved_with_a_lease_that_ended_is_nothing,
			begin),
		cmocka_unit_test_setup(what_is_misplaced, begin),
		cmocka_unit_test_setup(no_more_than_a_transaction_has_room_for,
				       begin),
		cmocka_unit_test_setup(a_key_that_may_be_there_is_not_forgotten,
				       begin),
		cmocka_unit_test_setup(own_use_does_not_count, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
